// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/worker_death.h"

#include "supervisor/process/process_end.h"

#include <stdio.h>

static const char *const blame_names[] = {
    [WORKER_BLAME_NONE] = "died",         [WORKER_BLAME_PROTOCOL] = "protocol",
    [WORKER_BLAME_DEADLINE] = "deadline", [WORKER_BLAME_CPU] = "cpu",
    [WORKER_BLAME_MEMORY] = "memory",     [WORKER_BLAME_LOAD_TIME] = "load-time",
    [WORKER_BLAME_LAG] = "lag",           [WORKER_BLAME_NURSERY] = "nursery",
    [WORKER_BLAME_UNWANTED] = "unwanted",
};

const char *worker_blame_name(enum worker_blame blame)
{
    return blame_names[blame];
}

void worker_death_reason(const struct worker *w, int wait_status, char out[WORKER_DEATH_SIZE])
{
    switch (w->blame) {
    case WORKER_BLAME_DEADLINE:
        snprintf(out, WORKER_DEATH_SIZE, "a call ran past its deadline and grace: killed");
        break;
    case WORKER_BLAME_CPU:
        snprintf(out, WORKER_DEATH_SIZE,
                 "a turn used more processor time than limits.cpu_seconds = %u: killed",
                 w->family.limits.cpu_seconds);
        break;
    case WORKER_BLAME_MEMORY:
        snprintf(out, WORKER_DEATH_SIZE, "out of memory: limits.memory_mb = %u",
                 w->family.limits.memory_mb);
        break;
    case WORKER_BLAME_LOAD_TIME:
        snprintf(out, WORKER_DEATH_SIZE, "its import took longer than workers.start_timeout");
        break;
    case WORKER_BLAME_LAG:
        snprintf(out, WORKER_DEATH_SIZE, "it did not follow the object's writes: killed");
        break;
    case WORKER_BLAME_PROTOCOL:
        snprintf(out, WORKER_DEATH_SIZE, "it broke its protocol (%s): killed",
                 w->protocol_reason ? w->protocol_reason : "?");
        break;
    default:
        snprintf(out, WORKER_DEATH_SIZE, "%s", process_end_how(wait_status));
    }
}
