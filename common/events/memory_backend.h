// SPDX-License-Identifier: Apache-2.0
/*
 * memory_backend - events in a ring in memory: first in, first out, gone with the process.
 *
 * A delivery is forgotten when it was handed out: ack is counted only, nack drops; give_back puts
 * the event in front again and counts it as not pulled. Only a pull with a wait is ever under way:
 * it ends within the enqueue, ack or give_back that brings an event, first come first served, or in
 * backend_progress() when its time is over (there is no descriptor to wait for). All numbers of a
 * delivery id are zero, its attempt is 1.
 */
#ifndef COMMON_EVENTS_MEMORY_BACKEND_H
#define COMMON_EVENTS_MEMORY_BACKEND_H

#include "common/events/backend.h"

/* max_size events at most (0: no bound); beyond it an enqueue fails with -ENOBUFS and takes none.
 * NULL: memory is short. Freed by backend_close(). */
struct backend *memory_backend_open(size_t max_size);
size_t memory_backend_size(const struct backend *b);

#endif
