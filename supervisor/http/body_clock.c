// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/body_clock.h"

#include "common/clock.h"
#include "supervisor/http/exchange_private.h"
#include "supervisor/http/front_private.h"

static void append(struct body_clock *clock, struct exchange *x)
{
    struct body_window *w = &x->window;
    *w =
        (struct body_window){.is_timed = true, .since_ns = clock_mono_ns(), .older = clock->newest};
    *(clock->newest ? &clock->newest->window.newer : &clock->oldest) = x;
    clock->newest = x;
}

static void take_out(struct body_clock *clock, struct exchange *x)
{
    struct body_window *w = &x->window;
    *(w->older ? &w->older->window.newer : &clock->oldest) = w->newer;
    *(w->newer ? &w->newer->window.older : &clock->newest) = w->older;
    *w = (struct body_window){0};
}

static bool is_too_slow(const struct body_clock *clock, const struct exchange *x)
{
    return x->window.bytes < clock->bytes_min && !x->body_paused && x->status == 0;
}

static void on_window_end(void *arg)
{
    struct body_clock *clock = arg;
    uint64_t now = clock_mono_ns();
    while (clock->oldest && clock->oldest->window.since_ns + clock->window_ns <= now) {
        struct exchange *x = clock->oldest;
        bool is_slow = is_too_slow(clock, x);
        take_out(clock, x);
        if (is_slow)
            guarded_reject(&x->connection->guarded, GUARD_BAD_body_slow);
        else
            append(clock, x);
    }
    if (clock->oldest)
        loop_timer_set(clock->loop, &clock->timer,
                       clock->oldest->window.since_ns + clock->window_ns - now, on_window_end,
                       clock);
}

void body_clock_configure(struct body_clock *clock, uint64_t timeout_ns, uint64_t keepalive_ns,
                          uint64_t rate_min)
{
    /* libmicrohttpd drops an idle connection without a word: before that comes our answer. */
    uint64_t longest_ns = keepalive_ns / 4 * 3;
    uint64_t window_ns = timeout_ns < longest_ns ? timeout_ns : longest_ns;
    uint64_t bytes = (uint64_t)((double)rate_min * (double)window_ns / (double)NS_PER_S);
    clock->window_ns = window_ns;
    clock->bytes_min = bytes ? bytes : 1;
    if (clock->oldest)
        loop_timer_set(clock->loop, &clock->timer, 0, on_window_end, clock);
}

void body_clock_init(struct body_clock *clock, struct loop *loop, uint64_t timeout_ns,
                     uint64_t keepalive_ns, uint64_t rate_min)
{
    *clock = (struct body_clock){.loop = loop};
    body_clock_configure(clock, timeout_ns, keepalive_ns, rate_min);
}

void body_clock_free(struct body_clock *clock)
{
    loop_timer_cancel(&clock->timer);
}

void body_clock_start(struct exchange *x)
{
    struct body_clock *clock = &x->front->body_clock;
    if (x->window.is_timed)
        return;
    append(clock, x);
    if (!loop_timer_armed(&clock->timer))
        loop_timer_set(clock->loop, &clock->timer, clock->window_ns, on_window_end, clock);
}

void body_clock_stop(struct exchange *x)
{
    if (x->window.is_timed)
        take_out(&x->front->body_clock, x);
}
