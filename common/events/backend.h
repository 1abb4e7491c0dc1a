// SPDX-License-Identifier: Apache-2.0
/*
 * backend - where events wait between the one who emits and the one who handles them.
 *
 * One interface for every kind (memory, Redis, …); all work in batches. A backend belongs to one
 * thread and never blocks: what cannot be done at once goes on in backend_progress(), which the
 * owner's loop calls when backend_fd() is readable or backend_deadline() has passed.
 *
 * Every operation takes a struct backend_call of the caller, which lives until it is done, and
 * returns 0: done, nothing more will come; -EINPROGRESS: call->done(call, result) will be called
 * once, never before the operation returned, but perhaps within another one (an enqueue ends a pull
 * that waits); or -errno: refused or failed. An error that only concerns the network is tried again
 * inside, within call->deadline_ns; backend_error() says in words what went wrong last. A call
 * given up by its owner (backend_forget()) is not told any more; what it had sent may still happen.
 * done() may start and forget calls, and must not close the backend.
 *
 *   -ENOBUFS      the backend is full (memory: max_size; Redis: maxmemory)
 *   -ENOTCONN     no connection within the deadline
 *   -EACCES       the password or the rights are wrong
 *   -EPROTO       an answer that makes no sense
 *   -ESHUTDOWN    closed
 */
#ifndef COMMON_EVENTS_BACKEND_H
#define COMMON_EVENTS_BACKEND_H

#include "common/events/event.h"

struct backend;
struct backend_call;

struct backend_call {
    void (*done)(struct backend_call *call, int result);
    uint64_t deadline_ns;                 /* monotonic; 0: the backend's own patience */
    struct backend_call *next, *previous; /* the backend's, while it is under way */
    void *backend_data;                   /* likewise */
};

/* Names a delivery of an event in its backend; zero in one that forgets what it delivers. */
struct delivery_id {
    uint64_t high, low;
};

struct delivery {
    struct event *event; /* a reference, the receiver's */
    struct delivery_id id;
    uint32_t attempt; /* 1: the first */
};

struct pull_call {
    struct backend_call call;
    struct delivery *into; /* room for `room`, the caller's */
    size_t room;
    size_t count;      /* how many came; 0 after the wait has passed in vain */
    uint64_t wait_ns;  /* for the first; 0: take what is there; UINT64_MAX: for ever */
    uint64_t until_ns; /* the backend's, while it is under way */
};

struct backend_health {
    bool healthy;
    uint64_t latency_ns;
    uint64_t waiting;  /* events in the backend */
    const char *error; /* NULL when healthy; borrowed until the next call */
};

struct health_call {
    struct backend_call call;
    struct backend_health health;
};

/* Totals of events since the backend was opened. failed: those nacked or dead-lettered. */
struct backend_counters {
    uint64_t enqueued, pulled, acked, failed, reconnections, recovered, dead_lettered;
};

struct backend_ops {
    int (*enqueue)(struct backend *b, struct event *const *events, size_t count,
                   struct backend_call *call);
    int (*pull)(struct backend *b, struct pull_call *call);
    int (*ack)(struct backend *b, const struct delivery *handled, size_t count,
               struct event *const *emitted, size_t emitted_count, struct backend_call *call);
    int (*nack)(struct backend *b, const struct delivery *refused, size_t count, const char *reason,
                struct backend_call *call);
    void (*give_back)(struct backend *b, const struct delivery *unhandled);
    int (*health)(struct backend *b, struct health_call *call);
    void (*forget)(struct backend *b, struct backend_call *call);
    int (*fd)(const struct backend *b);
    bool (*answers_soon)(const struct backend *b);
    uint64_t (*deadline)(const struct backend *b);
    void (*progress)(struct backend *b);
    const char *(*error)(const struct backend *b);
    void (*close)(struct backend *b);
};

/* The first member of every backend. */
struct backend {
    const struct backend_ops *ops;
    struct backend_counters counters;
};

/* All of them or none, in this order; the backend takes references of its own. */
static inline int backend_enqueue(struct backend *b, struct event *const *events, size_t count,
                                  struct backend_call *call)
{
    return b->ops->enqueue(b, events, count, call);
}

/* Up to call->room deliveries, oldest first. */
static inline int backend_pull(struct backend *b, struct pull_call *call)
{
    return b->ops->pull(b, call);
}

/*
 * These deliveries are handled, and these events came of it: both or neither. The arrays are the
 * backend's to read until the call is done. The references of the deliveries stay the caller's.
 */
static inline int backend_ack(struct backend *b, const struct delivery *handled, size_t count,
                              struct event *const *emitted, size_t emitted_count,
                              struct backend_call *call)
{
    return b->ops->ack(b, handled, count, emitted, emitted_count, call);
}

/* These deliveries are not wanted again: to the dead letters, where the backend has any. */
static inline int backend_nack(struct backend *b, const struct delivery *refused, size_t count,
                               const char *reason, struct backend_call *call)
{
    return b->ops->nack(b, refused, count, reason, call);
}

/*
 * This delivery was not handled after all (its handler was cancelled): the next pull of this
 * backend hands it out again, before all others. The reference stays the caller's. It cannot fail:
 * where the event cannot be kept for that, it counts as not acknowledged. max_size is no obstacle.
 */
static inline void backend_give_back(struct backend *b, const struct delivery *unhandled)
{
    b->ops->give_back(b, unhandled);
}

static inline int backend_health(struct backend *b, struct health_call *call)
{
    return b->ops->health(b, call);
}

/* Of a call under way: its done() is not called any more, it and its arrays are the caller's again.
 */
static inline void backend_forget(struct backend *b, struct backend_call *call)
{
    b->ops->forget(b, call);
}

/* One descriptor to wait for with POLLIN (it may be an epoll set of several), stable until close;
 * -1: nothing to wait for. */
static inline int backend_fd(const struct backend *b)
{
    return b->ops->fd(b);
}

/* Something is on its way to that descriptor which takes no longer than a server needs to answer:
 * worth an active wait (eager_wait.h). */
static inline bool backend_answers_soon(const struct backend *b)
{
    return b->ops->answers_soon(b);
}

/* When backend_progress() is wanted even if nothing arrived: monotonic ns; UINT64_MAX: never. */
static inline uint64_t backend_deadline(const struct backend *b)
{
    return b->ops->deadline(b);
}

/* Goes on with everything under way; calls done() of what ended. done() may start calls. */
static inline void backend_progress(struct backend *b)
{
    b->ops->progress(b);
}

/* What went wrong last, without secrets; "" when nothing did. */
static inline const char *backend_error(const struct backend *b)
{
    return b->ops->error(b);
}

/* Ends all calls under way with -ESHUTDOWN and frees the backend. NULL is allowed. */
static inline void backend_close(struct backend *b)
{
    if (b)
        b->ops->close(b);
}

#endif
