// SPDX-License-Identifier: Apache-2.0
/*
 * epoll_keep - leaves a suspended connection in libmicrohttpd's epoll set.
 *
 * The library (0.9.75) takes a connection out of its set when it is suspended and puts it back
 * after the reply: two system calls for every request that waits for a worker, a tenth of what a
 * request costs here. So the executable defines epoll_ctl() and epoll_wait() too: for guarded
 * connections in that one set a removal is only noted, events that come meanwhile are held back
 * (the library must not see them), and the return to the set costs nothing unless something was
 * held back, or would be asked of the kernel anew. Everything else goes straight to the kernel.
 *
 * Only suspending removes a connection that is still guarded: libmicrohttpd reports a closed one,
 * which ends the guarding, before it removes it. Loop thread only.
 */
#ifndef SUPERVISOR_HTTP_EPOLL_KEEP_H
#define SUPERVISOR_HTTP_EPOLL_KEEP_H

#include <stdbool.h>

struct epoll_keep {
    void *library_data; /* what the library registered */
    bool kept;          /* out of the set for the library, in it for the kernel */
    bool missed;        /* an event was held back */
};

/* The set to treat so, -1: none. Nothing is kept until the library was seen to wait on it here. */
void epoll_keep_set(int epoll_fd);
/* A connection ends: takes it out of the set if the library believes it out. */
void epoll_keep_forget(struct epoll_keep *keep, int fd);

#endif
