// SPDX-License-Identifier: Apache-2.0
/*
 * outbox - the worker's frames to the supervisor, written in the shared page and sent from there.
 *
 * A frame is copied whole and then published, so that the supervisor finds every frame that was
 * finished when the worker dies between two sends (shared_page.h). Frames with a descriptor, and
 * payloads above RPC_INLINE_MAX (they become a sealed memfd), are sent at once, after what waits.
 *
 * One outbox a process. Any thread may put; a spin lock orders them, held for microseconds or, when
 * the socket is full, until the supervisor reads. The delay timer's signal handler runs on the main
 * thread and only tries the lock. When the supervisor is gone the process exits.
 */
#ifndef WORKER_OUTBOX_H
#define WORKER_OUTBOX_H

#include "common/rpc.h"
#include "common/shared_page.h"

/* Borrows both for good. Called once, on the main thread, before any other function. */
void outbox_start(int fd, struct shared_page *page);
/* Queues one frame. fd is -1 or a descriptor sent with it, closed in any case. 0 or -errno. */
int outbox_put(enum rpc_type type, uint64_t id, struct span payload, int fd);
/* Sends everything that waits. */
void outbox_flush(void);
/* Bytes that wait. */
size_t outbox_unsent(void);
/*
 * Promises that what waits now is sent within this time even if nobody flushes: arms a timer whose
 * signal handler sends. Does nothing when nothing waits or an earlier timer runs.
 */
void outbox_bound_delay(uint64_t max_ns);
/* True in a child that object code forked: it shares the page and the socket and may use neither.
 */
bool outbox_is_foreign(void);

#endif
