// SPDX-License-Identifier: Apache-2.0
#include "supervisor/loop.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS_PER_WAIT = 256 };
#define LOOP_EAGER_NS 40000ull /* about two wake-ups of a sleeping process */

struct loop_source {
    struct loop *loop;
    int fd;
    uint32_t events;
    loop_fd_fn fn; /* NULL once unwatched: events of this round are dropped */
    void *arg;
    struct loop_source *next_dead;
};

struct loop {
    int epoll_fd;
    bool stopping;
    uint64_t now;
    uint64_t eager_until;     /* 0: nothing is expected at once */
    struct loop_timer timers; /* ring, soonest first; head is a sentinel */
    struct loop_source *dead; /* freed at the end of the round */
    struct {
        loop_timer_fn fn;
        void *arg;
    } hooks[LOOP_RANKS]; /* fn NULL: none */
};

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the event loop");
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        die(EXIT_CODE_ENVIRONMENT, "epoll_create1: %m");
    loop->timers.prev = loop->timers.next = &loop->timers;
    loop->now = clock_mono_ns();
    return loop;
}

static void free_dead(struct loop *loop)
{
    while (loop->dead) {
        struct loop_source *source = loop->dead;
        loop->dead = source->next_dead;
        free(source);
    }
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    free_dead(loop);
    close(loop->epoll_fd);
    free(loop);
}

uint64_t loop_now(const struct loop *loop)
{
    return loop->now;
}

void loop_expect(struct loop *loop)
{
    loop->eager_until = clock_mono_ns() + LOOP_EAGER_NS;
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

struct loop_source *loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *arg)
{
    struct loop_source *source = calloc(1, sizeof(*source));
    if (!source)
        return NULL;
    *source = (struct loop_source){.loop = loop, .fd = fd, .events = events, .fn = fn, .arg = arg};
    struct epoll_event ev = {.events = events, .data.ptr = source};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        int err = errno;
        free(source);
        errno = err;
        return NULL;
    }
    return source;
}

int loop_rewatch(struct loop_source *source, uint32_t events)
{
    if (source->events == events)
        return 0;
    struct epoll_event ev = {.events = events, .data.ptr = source};
    if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &ev) < 0)
        return -errno;
    source->events = events;
    return 0;
}

void loop_unwatch(struct loop_source *source)
{
    if (!source)
        return;
    epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    source->fn = NULL;
    source->next_dead = source->loop->dead;
    source->loop->dead = source;
}

static void timer_unlink(struct loop_timer *timer)
{
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->due_ns = 0;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns,
                    loop_timer_fn fn, void *arg)
{
    loop_timer_cancel(timer);
    timer->loop = loop;
    timer->fn = fn;
    timer->arg = arg;
    timer->due_ns = clock_mono_ns() + delay_ns;
    /* Most timers are set to the same few delays, so the place is near the end. */
    struct loop_timer *after = loop->timers.prev;
    if (loop->timers.next->due_ns > timer->due_ns)
        after = &loop->timers; /* "at once", before thousands of deadlines */
    while (after != &loop->timers && after->due_ns > timer->due_ns)
        after = after->prev;
    timer->prev = after;
    timer->next = after->next;
    after->next->prev = timer;
    after->next = timer;
}

void loop_timer_cancel(struct loop_timer *timer)
{
    if (loop_timer_armed(timer))
        timer_unlink(timer);
}

void loop_set_hook(struct loop *loop, enum loop_rank rank, loop_timer_fn fn, void *arg)
{
    loop->hooks[rank].fn = fn;
    loop->hooks[rank].arg = arg;
}

/* Milliseconds for epoll_wait, rounded up; -1 without timers. */
static int wait_ms(const struct loop *loop)
{
    const struct loop_timer *first = loop->timers.next;
    if (first == &loop->timers)
        return -1;
    uint64_t now = clock_mono_ns();
    if (first->due_ns <= now)
        return 0;
    uint64_t ms = (first->due_ns - now + NS_PER_MS - 1) / NS_PER_MS;
    return ms > 60000 ? 60000 : (int)ms;
}

static void run_timers(struct loop *loop)
{
    for (;;) {
        struct loop_timer *first = loop->timers.next;
        if (first == &loop->timers || first->due_ns > loop->now)
            return;
        timer_unlink(first);
        first->fn(first->arg);
    }
}

static void run_hooks(struct loop *loop)
{
    for (unsigned i = 0; i < LOOP_RANKS; i++)
        if (loop->hooks[i].fn)
            loop->hooks[i].fn(loop->hooks[i].arg);
}

/* Events that come before what is expected is overdue, or 0. */
static int wait_eagerly(struct loop *loop, struct epoll_event *ready)
{
    int n = 0;
    while (n == 0 && clock_mono_ns() < loop->eager_until) {
        sched_yield();
        n = epoll_wait(loop->epoll_fd, ready, EVENTS_PER_WAIT, 0);
    }
    loop->eager_until = 0;
    return n;
}

static void run_round(struct loop *loop)
{
    struct epoll_event ready[EVENTS_PER_WAIT];
    int n = loop->eager_until ? wait_eagerly(loop, ready) : 0;
    if (n == 0)
        n = epoll_wait(loop->epoll_fd, ready, EVENTS_PER_WAIT, wait_ms(loop));
    if (n < 0 && errno != EINTR)
        bug("epoll_wait: %m");
    loop->now = clock_mono_ns();
    for (int i = 0; i < n; i++) {
        struct loop_source *source = ready[i].data.ptr;
        if (source->fn)
            source->fn(source->arg, ready[i].events);
    }
    run_timers(loop);
    run_hooks(loop);
    free_dead(loop);
}

void loop_run(struct loop *loop)
{
    while (!loop->stopping)
        run_round(loop);
    loop->stopping = false;
}
