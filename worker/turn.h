// SPDX-License-Identifier: Apache-2.0
/*
 * turn - one CALL from frame to TURN_DONE, and one chunk of a streamed reply.
 *
 * Keeps the shared page's running call up to date around everything that runs object code.
 */
#ifndef WORKER_TURN_H
#define WORKER_TURN_H

#include "common/channel.h"
#include "common/shared_page.h"
#include "worker/py_stream.h"
#include "worker/reply.h"

/* `page` is borrowed for good. */
void turn_start(struct shared_page *page);
/* Monotonic time at which what runs was begun. */
uint64_t turn_started_ns(void);
/* The answer of a turn that went on beside others; takes what the reply borrows. */
void turn_answer(uint64_t id, struct reply *reply);
/* The step of a stream that went on beside other turns; releases it. */
void turn_step(uint64_t id, struct stream_step *step);
/* False when the frame is malformed. */
bool turn_run(struct channel *c, const struct frame *f);
bool turn_pull(struct channel *c, const struct frame *f);
bool turn_cancel(struct channel *c, const struct frame *f);

#endif
