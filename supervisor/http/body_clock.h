// SPDX-License-Identifier: Apache-2.0
/*
 * body_clock - how long a request body may take.
 *
 * A body that brings fewer than limits.body_rate_min bytes a second, on the average of a window of
 * http.body_timeout, is refused with 408; large bodies take the time they need. While the station
 * itself does not read (exchange_pause_body) no time is counted. Internal to the front; loop
 * thread.
 */
#ifndef SUPERVISOR_HTTP_BODY_CLOCK_H
#define SUPERVISOR_HTTP_BODY_CLOCK_H

#include "supervisor/loop.h"

struct exchange;

struct body_clock {
    struct loop *loop;
    uint64_t window_ns;
    uint64_t bytes_min;               /* in a window */
    struct exchange *oldest, *newest; /* by the begin of their windows */
    struct loop_timer timer;
};

/* Part of each exchange; cleared with it. */
struct body_window {
    bool is_timed;
    uint64_t since_ns;
    uint64_t bytes; /* in this window */
    struct exchange *older, *newer;
};

void body_clock_init(struct body_clock *clock, struct loop *loop, uint64_t timeout_ns,
                     uint64_t keepalive_ns, uint64_t rate_min);
/* Windows under way get the new length and rate. */
void body_clock_configure(struct body_clock *clock, uint64_t timeout_ns, uint64_t keepalive_ns,
                          uint64_t rate_min);
void body_clock_free(struct body_clock *clock);
void body_clock_start(struct exchange *x);
/* Its body is complete, or of no interest any more. */
void body_clock_stop(struct exchange *x);

#endif
