// SPDX-License-Identifier: Apache-2.0
/*
 * linger - closes a socket so that the other end surely reads the last answer.
 *
 * A socket closed with unread input sends a reset, which can make the client lose what was written
 * before. So the sending side is shut down and what still comes is read and dropped, for at most
 * LINGER_TIME_NS and LINGER_BYTES_MAX; then the socket is shut down wholly, which also wakes
 * another holder of the same socket. Loop thread only.
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
    size_t count; /* beyond LINGERS_MAX only what has come is read */
};

void lingers_init(struct lingers *all, struct loop *loop);
/* Takes the descriptor over. */
void linger_start(struct lingers *all, int fd);
/* The same with a duplicate of fd, which its owner goes on holding. */
void linger_start_dup(struct lingers *all, int fd);
/* Closes all of them now; what has come until now is read before. */
void lingers_free(struct lingers *all);

#endif
