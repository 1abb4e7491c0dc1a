// SPDX-License-Identifier: Apache-2.0
/*
 * worker_death - how a worker ended, in words. Pure.
 */
#ifndef SUPERVISOR_PROCESS_WORKER_DEATH_H
#define SUPERVISOR_PROCESS_WORKER_DEATH_H

#include "supervisor/process/worker.h"

enum { WORKER_DEATH_SIZE = 200 };

/* "died", "protocol", "deadline" ...: one word for each blame. */
const char *worker_blame_name(enum worker_blame blame);
/* For people: "signal 11 (Segmentation fault)", "a call ran past its deadline and grace" ... */
void worker_death_reason(const struct worker *w, int wait_status, char out[WORKER_DEATH_SIZE]);

#endif
