// SPDX-License-Identifier: Apache-2.0
#include "common/events/memory_backend.h"

#include "common/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

enum { RING_FIRST = 16 /* a power of two, as every capacity */ };

struct memory_backend {
    struct backend backend;
    size_t max_size; /* 0: no bound */
    struct event **ring;
    size_t capacity, first, size;
    struct backend_call *waiting; /* pulls, in the order they came */
    uint64_t deadline;            /* not after the first of them has waited long enough */
    bool closed;
};

static struct memory_backend *of(struct backend *b)
{
    return (struct memory_backend *)b;
}

static const struct memory_backend *of_const(const struct backend *b)
{
    return (const struct memory_backend *)b;
}

/* --- the ring ------------------------------------------------------------------------------- */

static struct event **ring_place(struct memory_backend *m, size_t index)
{
    return &m->ring[(m->first + index) & (m->capacity - 1)];
}

static int ring_resize(struct memory_backend *m, size_t capacity)
{
    struct event **ring = calloc(capacity, sizeof(struct event *));
    if (!ring)
        return -ENOMEM;
    for (size_t i = 0; i < m->size; i++)
        ring[i] = *ring_place(m, i);
    free(m->ring);
    m->ring = ring;
    m->capacity = capacity;
    m->first = 0;
    return 0;
}

static int ring_reserve(struct memory_backend *m, size_t extra)
{
    if (extra > SIZE_MAX / 4 / sizeof(struct event *) - m->size)
        return -ENOMEM;
    size_t want = m->size + extra, capacity = m->capacity ? m->capacity : RING_FIRST;
    if (want <= m->capacity)
        return 0;
    while (capacity < want)
        capacity *= 2;
    return ring_resize(m, capacity);
}

static struct event *ring_take(struct memory_backend *m)
{
    struct event *event = *ring_place(m, 0);
    m->first = (m->first + 1) & (m->capacity - 1);
    m->size--;
    /* A burst that has passed does not keep its memory; without memory to shrink it may. */
    if (m->capacity > RING_FIRST && m->size <= m->capacity / 8)
        (void)ring_resize(m, m->capacity / 4 > RING_FIRST ? m->capacity / 4 : RING_FIRST);
    /* Of many that waited, each was last looked at long ago. */
    __builtin_prefetch(*ring_place(m, 0));
    return event;
}

/* --- pulls that wait -------------------------------------------------------------------------- */

static void take_into(struct memory_backend *m, struct pull_call *pull)
{
    for (pull->count = 0; pull->count < pull->room && m->size > 0; pull->count++)
        pull->into[pull->count] = (struct delivery){.event = ring_take(m), .attempt = 1};
    m->backend.counters.pulled += pull->count;
}

static void end_wait(struct memory_backend *m, struct backend_call *call, int result)
{
    DL_DELETE2(m->waiting, call, previous, next);
    call->done(call, result);
}

static void feed_waiting(struct memory_backend *m)
{
    while (m->size > 0 && m->waiting) {
        struct backend_call *call = m->waiting;
        take_into(m, (struct pull_call *)call);
        end_wait(m, call, 0);
    }
}

static void wait_for_events(struct memory_backend *m, struct pull_call *pull)
{
    uint64_t now = clock_mono_ns();
    pull->until_ns = pull->wait_ns < UINT64_MAX - now ? now + pull->wait_ns : UINT64_MAX;
    if (pull->until_ns < m->deadline)
        m->deadline = pull->until_ns;
    DL_APPEND2(m->waiting, &pull->call, previous, next);
}

/* --- operations ------------------------------------------------------------------------------- */

static int add_events(struct memory_backend *m, struct event *const *events, size_t count)
{
    if (m->closed)
        return -ESHUTDOWN;
    if (m->max_size && (m->size > m->max_size || count > m->max_size - m->size))
        return -ENOBUFS;
    int error = ring_reserve(m, count);
    if (error)
        return error;
    for (size_t i = 0; i < count; i++)
        *ring_place(m, m->size++) = event_retain(events[i]);
    m->backend.counters.enqueued += count;
    return 0;
}

static int memory_enqueue(struct backend *b, struct event *const *events, size_t count,
                          struct backend_call *call)
{
    (void)call;
    int error = add_events(of(b), events, count);
    if (!error)
        feed_waiting(of(b));
    return error;
}

static int memory_pull(struct backend *b, struct pull_call *pull)
{
    struct memory_backend *m = of(b);
    pull->count = 0;
    if (m->closed)
        return -ESHUTDOWN;
    if (m->size > 0 || pull->wait_ns == 0 || pull->room == 0) {
        take_into(m, pull);
        return 0;
    }
    wait_for_events(m, pull);
    return -EINPROGRESS;
}

static int memory_ack(struct backend *b, const struct delivery *handled, size_t count,
                      struct event *const *emitted, size_t emitted_count, struct backend_call *call)
{
    (void)handled;
    (void)call;
    struct memory_backend *m = of(b);
    if (m->closed)
        return -ESHUTDOWN;
    if (emitted_count) {
        int error = add_events(m, emitted, emitted_count);
        if (error)
            return error;
        feed_waiting(m);
    }
    m->backend.counters.acked += count;
    return 0;
}

static int memory_nack(struct backend *b, const struct delivery *refused, size_t count,
                       const char *reason, struct backend_call *call)
{
    (void)refused;
    (void)reason;
    (void)call;
    if (of(b)->closed)
        return -ESHUTDOWN;
    b->counters.failed += count;
    return 0;
}

static void memory_give_back(struct backend *b, const struct delivery *unhandled)
{
    struct memory_backend *m = of(b);
    if (m->closed || ring_reserve(m, 1))
        return;
    m->first = (m->first + m->capacity - 1) & (m->capacity - 1);
    m->size++;
    *ring_place(m, 0) = event_retain(unhandled->event);
    m->backend.counters.pulled--;
    feed_waiting(m);
}

static int memory_health(struct backend *b, struct health_call *call)
{
    if (of(b)->closed)
        return -ESHUTDOWN;
    call->health = (struct backend_health){.healthy = true, .waiting = of(b)->size};
    return 0;
}

static void memory_forget(struct backend *b, struct backend_call *call)
{
    DL_DELETE2(of(b)->waiting, call, previous, next);
}

static int memory_fd(const struct backend *b)
{
    (void)b;
    return -1;
}

static bool memory_answers_soon(const struct backend *b)
{
    (void)b;
    return false;
}

static uint64_t memory_deadline(const struct backend *b)
{
    return of_const(b)->deadline;
}

/* The first pull that has waited long enough; without one the deadline is set anew. */
static struct backend_call *find_overdue(struct memory_backend *m, uint64_t now)
{
    struct backend_call *call;
    uint64_t deadline = UINT64_MAX;
    DL_FOREACH2(m->waiting, call, next)
    {
        uint64_t until = ((struct pull_call *)call)->until_ns;
        if (until <= now)
            return call;
        if (until < deadline)
            deadline = until;
    }
    m->deadline = deadline;
    return NULL;
}

static void memory_progress(struct backend *b)
{
    struct memory_backend *m = of(b);
    uint64_t now = clock_mono_ns();
    struct backend_call *call;
    if (m->deadline > now)
        return;
    while ((call = find_overdue(m, now)))
        end_wait(m, call, 0);
}

static const char *memory_error(const struct backend *b)
{
    (void)b;
    return "";
}

static void memory_close(struct backend *b)
{
    struct memory_backend *m = of(b);
    m->closed = true;
    while (m->waiting)
        end_wait(m, m->waiting, -ESHUTDOWN);
    while (m->size > 0)
        event_release(ring_take(m));
    free(m->ring);
    free(m);
}

struct backend *memory_backend_open(size_t max_size)
{
    static const struct backend_ops ops = {
        .enqueue = memory_enqueue,
        .pull = memory_pull,
        .ack = memory_ack,
        .nack = memory_nack,
        .give_back = memory_give_back,
        .health = memory_health,
        .forget = memory_forget,
        .fd = memory_fd,
        .answers_soon = memory_answers_soon,
        .deadline = memory_deadline,
        .progress = memory_progress,
        .error = memory_error,
        .close = memory_close,
    };
    struct memory_backend *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->backend.ops = &ops;
    m->max_size = max_size;
    m->deadline = UINT64_MAX;
    return &m->backend;
}

size_t memory_backend_size(const struct backend *b)
{
    return of_const(b)->size;
}
