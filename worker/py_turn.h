// SPDX-License-Identifier: Apache-2.0
/*
 * py_turn - runs the handler of one call and gathers its effects.
 *
 * Main thread, with the GIL.
 */
#ifndef WORKER_PY_TURN_H
#define WORKER_PY_TURN_H

#include "worker/reply.h"

/*
 * True: the reply is filled; a handler that raised is an answer too, without writes. False: the
 * turn goes on beside others, and turn_answer() follows. Spans of `call` may be used only during
 * this call. Takes body_fd (-1: none).
 */
bool py_turn_run(uint64_t id, const struct rpc_call *call, int body_fd, struct reply *reply);
/* Drops what the reply borrows. */
void py_turn_release(struct reply *reply);

#endif
