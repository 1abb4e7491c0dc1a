// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/worker_memory.h"

#include "common/clock.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/station.h"

#include <assert.h>
#include <unistd.h>

static bool is_going(const struct worker *w)
{
    return w->state == WORKER_DRAINING || w->state == WORKER_KILLED;
}

/* --- measuring --- */

static_assert((int)WORKER_MEMORY_BATCH <= (int)SCRIBE_MEASURE_MAX, "one message");

static void take_oldest(struct worker *w, void *arg)
{
    struct worker **oldest = arg;
    if (w->pid && !is_going(w) && (!*oldest || w->measure_ns < (*oldest)->measure_ns))
        *oldest = w;
}

static void on_measured(void *arg, int err, const uint64_t *bytes)
{
    struct worker_memory *m = arg;
    size_t count = m->asked_count;
    m->asked_count = 0;
    if (err)
        return;
    for (size_t i = 0; i < count; i++) {
        struct worker *w = worker_get(m->station->workers, m->asked[i]);
        if (!w)
            continue;
        w->memory_bytes = bytes[i];
        w->is_measured = true;
    }
    m->measured(m->arg);
}

void worker_memory_measure(struct worker_memory *m)
{
    uint64_t now = clock_mono_ns();
    pid_t pids[WORKER_MEMORY_BATCH];
    if (m->asked_count)
        return;
    while (m->asked_count < WORKER_MEMORY_BATCH) {
        struct worker *w = NULL;
        worker_each(m->station->workers, take_oldest, &w);
        if (!w || w->measure_ns >= now)
            break; /* all of them, in this round */
        w->measure_ns = now;
        pids[m->asked_count] = w->pid;
        m->asked[m->asked_count++] = w->ref;
    }
    if (m->asked_count)
        scribe_measure(m->station->scribe, pids, m->asked_count, on_measured, m);
}

/* --- the sum --- */

struct sum {
    uint64_t bytes;
    uint64_t measured, unmeasured;
};

static void add(struct worker *w, void *arg)
{
    struct sum *sum = arg;
    if (is_going(w))
        return;
    sum->bytes += w->memory_bytes;
    if (w->is_measured)
        sum->measured++;
    else
        sum->unmeasured++;
}

uint64_t worker_memory_bytes(const struct station *station)
{
    struct sum sum = {0};
    worker_each(station->workers, add, &sum);
    return sum.measured ? sum.bytes + sum.bytes / sum.measured * sum.unmeasured : 0;
}

uint64_t worker_memory_default(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 4 * 3 : UINT64_MAX;
}
