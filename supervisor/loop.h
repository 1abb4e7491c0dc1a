// SPDX-License-Identifier: Apache-2.0
/*
 * loop - the one event loop of the supervisor (and of the scribe): epoll, timers, end-of-round
 * work.
 *
 * Everything is a file descriptor or a timer. A round is: wait, run the handlers of ready
 * descriptors, run due timers, run the end-of-round hooks in the order of their ranks (they flush
 * what the handlers gathered: worker sockets, the journal, libmicrohttpd). One thread.
 *
 * Handlers may add and remove any source, their own included, while they run.
 */
#ifndef SUPERVISOR_LOOP_H
#define SUPERVISOR_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop *loop_new(void); /* dies when the environment refuses an epoll instance */
void loop_free(struct loop *loop);
/* Runs rounds until loop_stop(); may be run again after that. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Monotonic nanoseconds, read once a round (and again after a wait). */
uint64_t loop_now(const struct loop *loop);

/*
 * Says that the next event is likely within LOOP_EAGER_NS: until then the loop asks again instead
 * of sleeping (and yields the processor in between), which saves the time of a wake-up on either
 * side. For a lone request only: under load there is always a next event.
 */
void loop_expect(struct loop *loop);

/* events: EPOLLIN, EPOLLOUT, … as delivered by epoll. */
typedef void (*loop_fd_fn)(void *arg, uint32_t events);
struct loop_source;
/* Watches fd (not owned). NULL when epoll or memory refuses (errno says why). */
struct loop_source *loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn,
                               void *arg);
/* Changes the events waited for; 0 or -errno. A no-op when they are the same already. */
int loop_rewatch(struct loop_source *source, uint32_t events);
/* Stops watching and frees the source; NULL is allowed. Close the fd after this, not before. */
void loop_unwatch(struct loop_source *source);

/* A timer lives in its owner's struct, zero-initialised. */
typedef void (*loop_timer_fn)(void *arg);
struct loop_timer {
    uint64_t due_ns; /* monotonic; 0 when not armed */
    loop_timer_fn fn;
    void *arg;
    struct loop *loop;
    struct loop_timer *prev, *next;
};
/* (Re)arms: fn(arg) runs once, `delay_ns` from now. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns,
                    loop_timer_fn fn, void *arg);
void loop_timer_cancel(struct loop_timer *timer);
static inline bool loop_timer_armed(const struct loop_timer *timer)
{
    return timer->due_ns != 0;
}

/*
 * fn(arg) runs at the end of every round, in the order of the ranks: replies go out and may bring
 * the next requests of their connections, whose calls and records then leave in the same round. One
 * hook a rank.
 */
enum loop_rank { LOOP_RANK_HTTP, LOOP_RANK_STORE, LOOP_RANK_WORKERS, LOOP_RANKS };
void loop_set_hook(struct loop *loop, enum loop_rank rank, loop_timer_fn fn, void *arg);

#endif
