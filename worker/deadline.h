// SPDX-License-Identifier: Apache-2.0
/*
 * deadline - the signal of the supervisor to a worker whose call has run for too long.
 *
 * SIGUSR1, queued with a call id: the deadline of that call has passed. The handler remembers the
 * id and has Python call deadline_take() at the next place where it looks at signals.
 */
#ifndef WORKER_DEADLINE_H
#define WORKER_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

/* In the nursery, after Python is up; what it forks inherits the handlers. */
void deadline_install(void);
/* The main thread is the caller (after a fork). */
void deadline_adopt_thread(void);
/* True when the deadline of call `id` has passed; the note is gone then. */
bool deadline_take(uint64_t id);

#endif
