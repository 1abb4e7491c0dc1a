// SPDX-License-Identifier: Apache-2.0
/*
 * worker_fds - fixed descriptor numbers of the processes that the supervisor starts. Everything
 * else is close-on-exec.
 */
#ifndef COMMON_WORKER_FDS_H
#define COMMON_WORKER_FDS_H

enum {
    FD_RPC = 3,     /* nursery, worker, scribe: the socket to the supervisor */
    FD_ANSWERS = 4, /* worker: the socket on which the answers to its turns' questions come */
    FD_STACKS = 5,  /* nursery, worker: its stderr, for stacks */
};

/* The descriptors of a SPAWN, in this order. */
enum spawn_fd { SPAWN_RPC, SPAWN_OUT, SPAWN_ERR, SPAWN_PAGE, SPAWN_ANSWERS, SPAWN_FDS };

#endif
