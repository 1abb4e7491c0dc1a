// SPDX-License-Identifier: Apache-2.0
/*
 * linger - closes a socket so that the other end surely reads the last answer.
 *
 * A socket closed with unread input sends a reset, which can make the client lose what was written
 * before. So the sending side is shut down and what still comes is read and dropped, for at most
 * LINGER_TIME_NS and LINGER_BYTES_MAX; then the socket is shut down wholly, which also wakes
 * another holder of the same socket.
 *
 * No more than LINGERS_MAX do so at a time, for each keeps a descriptor while further connections
 * come; of others only what has come is read. Once no connection comes any more all of them may
 * linger: each keeps the descriptor of the one that it ends. Loop thread only.
 */
#ifndef SUPERVISOR_HTTP_LINGER_H
#define SUPERVISOR_HTTP_LINGER_H

#include "supervisor/loop.h"

#include <stddef.h>

enum { LINGER_BYTES_MAX = 256 * 1024, LINGERS_MAX = 256 };
#define LINGER_TIME_NS 2000000000ull

struct lingering;

struct lingers {
    struct loop *loop;
    struct lingering *first;
    size_t count;
    bool is_last; /* no connection comes any more */
};

void lingers_init(struct lingers *all, struct loop *loop);
/* No connection comes any more. */
void lingers_are_last(struct lingers *all);
/* Takes the descriptor over. */
void linger_start(struct lingers *all, int fd);
/* The same with a duplicate of fd, which its owner goes on holding. */
void linger_start_dup(struct lingers *all, int fd);
/* Closes all of them now; what has come until now is read before. */
void lingers_free(struct lingers *all);

#endif
