// SPDX-License-Identifier: Apache-2.0
/*
 * worker_memory - how much memory the workers take, all together: their proportional set sizes, so
 * that what they share with each other counts once. The scribe measures a few at a time, those
 * first that were not for longest; one that was not measured yet counts as much as the others do.
 * While the scribe does not answer the figures stay as they are, and it is not asked again.
 */
#ifndef SUPERVISOR_PROCESS_WORKER_MEMORY_H
#define SUPERVISOR_PROCESS_WORKER_MEMORY_H

#include "supervisor/process/worker.h"

enum { WORKER_MEMORY_BATCH = 8 /* measured at a time */ };

struct worker_memory {
    struct station *station;
    void (*measured)(void *arg); /* there are new figures */
    void *arg;
    struct worker_ref asked[WORKER_MEMORY_BATCH]; /* in this order */
    size_t asked_count;                           /* 0: nothing is asked */
};

/* Asks for some figures. */
void worker_memory_measure(struct worker_memory *memory);
/* Of those that are not going. */
uint64_t worker_memory_bytes(const struct station *station);
/* What workers.memory_max is when it is not set: three quarters of the machine's memory. */
uint64_t worker_memory_default(void);

#endif
