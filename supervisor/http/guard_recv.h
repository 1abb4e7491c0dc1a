// SPDX-License-Identifier: Apache-2.0
/*
 * guard_recv - puts the guard between the sockets and libmicrohttpd.
 *
 * The executable defines recv(), which takes precedence over the C library's for every shared
 * library of the process. Descriptors that are not guarded go straight to the kernel, whatever
 * thread asks; guarded ones belong to the loop thread.
 *
 * One request at a time is handed to libmicrohttpd: bytes of the next wait here until
 * guarded_next(). A violation is answered by the guard itself, in JSON, and libmicrohttpd is told
 * that the stream has ended; since it reads only when every earlier request is answered, answers
 * keep their order. A head that is not complete in time is answered with 408 likewise.
 *
 * libmicrohttpd (0.9.75) takes a short read as "the socket is empty" and waits for the next edge.
 * guarded_has_backlog() tells when that is wrong: then the request has to be suspended and resumed,
 * because after a resume it reads again without an edge.
 */
#ifndef SUPERVISOR_HTTP_GUARD_RECV_H
#define SUPERVISOR_HTTP_GUARD_RECV_H

#include "supervisor/http/epoll_keep.h"
#include "supervisor/http/guard.h"
#include "supervisor/http/linger.h"

enum { GUARDED_FD_MAX = 65536 };

struct guarded;

/* What the guarded connections of one front share. */
struct guard_set {
    struct loop *loop;
    struct lingers lingers;
    struct guard_limits limits;
    uint64_t head_timeout_ns;
    struct guarded *oldest, *newest; /* heads under way, by the time they began */
    struct loop_timer head_timer;
    uint64_t rejected[GUARD_VIOLATIONS];
};

struct guarded {
    struct guard guard;
    struct guard_set *set;
    int fd;
    bool answered; /* a rejection was written: nothing is read any more */
    bool may_have_more;
    bool served;     /* a request was complete before */
    bool head_timed; /* in the list of heads under way */
    unsigned char out_at, out_len;
    char out[GUARD_CANONICAL_MAX]; /* canonical head, not yet handed on */
    uint64_t head_since_ns;
    struct guarded *older, *newer;
    struct epoll_keep keep;
};

void guard_set_init(struct guard_set *set, struct loop *loop, const struct guard_limits *limits,
                    uint64_t head_timeout_ns);
/* For heads and bodies under way too. */
void guard_set_configure(struct guard_set *set, const struct guard_limits *limits,
                         uint64_t head_timeout_ns);
/* Every guarded connection must be closed by then. */
void guard_set_free(struct guard_set *set);

/* 0 or -EMFILE (a descriptor beyond the table). The descriptor stays its owner's. */
int guarded_open(struct guarded *c, struct guard_set *set, int fd);
/* Before the descriptor is closed. */
void guarded_close(struct guarded *c);
/* Answers and ends the stream; only when no reply of ours is being sent. */
void guarded_reject(struct guarded *c, enum guard_violation violation);
/* The same for a body that is refused while it arrives, with a JSON text of the caller's. */
void guarded_refuse(struct guarded *c, unsigned status, struct span body);
/* The current request was answered. */
void guarded_next(struct guarded *c);
/* The guarded connection of a descriptor, or NULL. */
struct guarded *guarded_at(int fd);
static inline bool guarded_has_backlog(const struct guarded *c)
{
    return c->may_have_more;
}

/* Writes a whole JSON error reply that closes the connection, without a guarded connection. */
void guard_write_error(int fd, enum guard_violation violation);

#endif
