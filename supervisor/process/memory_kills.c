// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/memory_kills.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/metric.h"
#include "supervisor/objects/object.h"
#include "supervisor/process/memory.h"
#include "supervisor/process/sweeper.h"
#include "supervisor/station.h"

#include <unistd.h>

static uint64_t total;

void memory_kills_init(struct memory_kills *k)
{
    k->fd = -1;
}

void memory_kills_born(struct worker *w)
{
    char name[CGROUP_NAME_SIZE];
    sweeper_group_name(name, w->station->boot, w->ref.generation);
    w->family.kills.fd = cgroup_oom_kills_open(families_groups(w->station->families), name);
}

static void tell(struct worker *w)
{
    struct memory_kills *k = &w->family.kills;
    uint64_t now_ns = clock_mono_ns(), count = k->counted - k->told;
    if (!count || (k->told_ns && now_ns - k->told_ns < MEMORY_KILLS_PAUSE_NS))
        return;
    k->told = k->counted;
    k->told_ns = now_ns;
    object_note(w->object, "WARNING", "%llu of its processes %s killed: limits.memory_mb = %u",
                (unsigned long long)count, count == 1 ? "was" : "were", w->family.limits.memory_mb);
}

/* One that dies has given its memory up, though it may take a while. */
static bool is_alive(const struct worker *w)
{
    return memory_rss_bytes(w->pid) > 0;
}

void memory_kills_look(struct worker *w)
{
    struct memory_kills *k = &w->family.kills;
    if (k->fd < 0 || !w->pid)
        return;
    uint64_t survived = k->seen;
    if (survived > k->counted && is_alive(w)) {
        w->object->memory_kills += survived - k->counted;
        total += survived - k->counted;
        k->counted = survived;
    }
    tell(w);
    k->seen = cgroup_oom_kills(k->fd);
}

bool memory_kills_last(const struct worker *w)
{
    const struct memory_kills *k = &w->family.kills;
    return k->fd >= 0 && cgroup_oom_kills(k->fd) > k->counted;
}

void memory_kills_end(struct worker *w)
{
    struct memory_kills *k = &w->family.kills;
    if (k->fd >= 0)
        close(k->fd);
    k->fd = -1;
}

void memory_kills_metrics(struct buf *text)
{
    metric_counter(text, "memory_kills_total",
                   "Processes of workers that limits.memory_mb ended, and the worker lived on.",
                   total);
}
