// SPDX-License-Identifier: Apache-2.0
/*
 * stop - the graceful end: no new connections, calls under way are answered, workers drained, then
 * the loop stops. A second request, or workers.stop_timeout, ends it at once.
 */
#ifndef SUPERVISOR_STOP_H
#define SUPERVISOR_STOP_H

struct station;

void stop_begin(struct station *station);

#endif
