// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/worker_memory.h"

#include "common/clock.h"
#include "supervisor/process/memory.h"
#include "supervisor/process/worker.h"
#include "supervisor/station.h"

#include <unistd.h>

static bool is_going(const struct worker *w)
{
    return w->state == WORKER_DRAINING || w->state == WORKER_KILLED;
}

/* --- measuring --- */

static void take_oldest(struct worker *w, void *arg)
{
    struct worker **oldest = arg;
    if (w->pid && !is_going(w) && (!*oldest || w->measured_ns < (*oldest)->measured_ns))
        *oldest = w;
}

void worker_memory_measure(struct station *station)
{
    uint64_t now = clock_mono_ns();
    for (unsigned i = 0; i < WORKER_MEMORY_BATCH; i++) {
        struct worker *w = NULL;
        worker_each(station->workers, take_oldest, &w);
        if (!w || w->measured_ns >= now)
            return; /* all of them, in this round */
        w->memory_bytes = memory_pss_bytes(w->pid);
        w->measured_ns = now;
    }
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
    if (w->measured_ns)
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
