// SPDX-License-Identifier: Apache-2.0
/*
 * stop - the graceful end: no new connections, calls under way are answered, workers drained, then
 * the loop stops. A second request, or workers.stop_timeout, ends it at once. Loop thread.
 */
#ifndef SUPERVISOR_STOP_H
#define SUPERVISOR_STOP_H

#include <stdbool.h>
#include <stdint.h>

struct station;

void stop_begin(struct station *station);
/* It was asked for again, also while nobody runs the loop: nothing is waited for any more. */
bool stop_is_hurried(void);
/*
 * Nanoseconds that are left for what comes after the calls, changes of files and checkpoints
 * together: workers.stop_timeout, at least two seconds, from the first call of this on. What is not
 * done then is done at the next start, from the journal.
 */
uint64_t stop_time_left(const struct station *station);

#endif
