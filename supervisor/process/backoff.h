// SPDX-License-Identifier: Apache-2.0
/*
 * backoff - how long to wait before something that ended is started again: a pure function of what
 * happened and of now, but for backoff_jitter().
 *
 * What had served and dies once is started again at once. Whatever fails again before it was stable
 * for a minute waits 0.1 s, doubling to 30 s; what never served waits from its first failure on.
 * A stable life, or backoff_reset(), forgets what was before.
 */
#ifndef SUPERVISOR_PROCESS_BACKOFF_H
#define SUPERVISOR_PROCESS_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_NS  100000000ull   /* 0.1 s */
#define BACKOFF_LAST_NS   30000000000ull /* 30 s */
#define BACKOFF_STABLE_NS 60000000000ull /* a life this long forgets earlier failures */

/* What happened. Zeroed: nothing. */
struct backoff {
    unsigned failures;  /* in a row; the first one of what had served counts as 1, else as 2 */
    uint64_t newest_ns; /* when the newest was; monotonic */
};

/* What had served ended now, after a life of lived_ns. */
void backoff_died(struct backoff *b, uint64_t now_ns, uint64_t lived_ns);
/* It could not be started, or ended before it served. */
void backoff_failed(struct backoff *b, uint64_t now_ns);
void backoff_reset(struct backoff *b);
/*
 * Nanoseconds from now until the next start: 0 where it may be at once. jitter is any number; it
 * spreads the wait over -25 % … +25 %, and the same one gives the same moment.
 */
uint64_t backoff_delay(const struct backoff *b, uint64_t now_ns, uint32_t jitter);
/* A random number for it. */
uint32_t backoff_jitter(void);

#endif
