// SPDX-License-Identifier: Apache-2.0
/*
 * worker - the life of one worker process: set up, load, then frames until EXIT.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <sys/types.h>

/* Descriptors that came with SPAWN. */
struct worker_fds {
    int rpc;
    int out;
    int err;
    int page; /* memfd of struct shared_page */
    int answers;
};

/* In the fresh child. `supervisor` must still be the parent, else the process ends at once. */
void worker_main(const struct worker_fds *fds, pid_t supervisor) __attribute__((noreturn));

#endif
