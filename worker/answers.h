// SPDX-License-Identifier: Apache-2.0
/*
 * answers - what a turn asks of other objects (ASK), and the socket on which the answers come.
 *
 * The socket is one of its own, so that answers do not wait behind calls, and reading one does not
 * move the call that the running turn reads from. Main thread.
 */
#ifndef WORKER_ANSWERS_H
#define WORKER_ANSWERS_H

#include "common/rpc.h"

/* Takes FD_ANSWERS over. Called once. */
void answers_start(void);
/*
 * Puts the question of turn `id` into the outbox under a number that it chooses: 0 and m->number,
 * or -errno. A large body travels as a memfd.
 */
int answers_ask(uint64_t id, struct rpc_ask *m);

/* One answer: borrowed until the next call of any function here. */
struct answer {
    uint64_t number;
    struct rpc_answer m;
    int body_fd; /* a verified memfd of m.body_size, -1: none; the channel's */
};

/* The next that has come: 1, or 0 when there is none now. The process ends with its supervisor. */
int answers_next(struct answer *a);
/*
 * Waits until something has come: 0, or -EINTR after a signal. Looks again for a moment before it
 * sleeps: a short call comes back sooner than a wake-up. Without the GIL.
 */
int answers_wait(void);

#endif
