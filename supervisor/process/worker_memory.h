// SPDX-License-Identifier: Apache-2.0
/*
 * worker_memory - how much memory the workers take, all together: their proportional set sizes, so
 * that what they share with each other counts once. A few workers are measured at a time, those
 * first whose figure is oldest; one that was not measured yet counts as much as the others do.
 */
#ifndef SUPERVISOR_PROCESS_WORKER_MEMORY_H
#define SUPERVISOR_PROCESS_WORKER_MEMORY_H

#include <stdint.h>

struct station;

enum { WORKER_MEMORY_BATCH = 8 /* measured at a time */ };

/* Measures some. */
void worker_memory_measure(struct station *station);
/* Of those that are not going. */
uint64_t worker_memory_bytes(const struct station *station);
/* What workers.memory_max is when it is not set: three quarters of the machine's memory. */
uint64_t worker_memory_default(void);

#endif
