// SPDX-License-Identifier: Apache-2.0
/*
 * worker_fds - fixed descriptor numbers of the processes that the supervisor starts. Everything
 * else is close-on-exec.
 */
#ifndef COMMON_WORKER_FDS_H
#define COMMON_WORKER_FDS_H

enum {
    FD_RPC = 3,         /* nursery, worker, scribe: the socket to the supervisor */
    FD_SHARED_PAGE = 4, /* worker: memfd of struct shared_page, closed once mapped */
};

#endif
