// SPDX-License-Identifier: Apache-2.0
/*
 * worker - the life of one worker process: set up, load, then frames until EXIT.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

/* Descriptors that came with SPAWN. */
struct worker_fds {
    int rpc;
    int out;
    int err;
    int page; /* memfd of struct shared_page */
    int answers;
};

/* In the fresh child, once it is confined (confine.h). */
void worker_main(const struct worker_fds *fds) __attribute__((noreturn));

#endif
