// SPDX-License-Identifier: Apache-2.0
/*
 * backoff - how long to wait before something that died young is started again. Pure, but for
 * backoff_jitter().
 */
#ifndef SUPERVISOR_PROCESS_BACKOFF_H
#define SUPERVISOR_PROCESS_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_NS  100000000ull   /* 0.1 s */
#define BACKOFF_LAST_NS   30000000000ull /* 30 s */
#define BACKOFF_STABLE_NS 60000000000ull /* a life this long forgets earlier deaths */

struct backoff {
    unsigned deaths; /* early deaths in a row */
};

/* Counts a death after a life of lived_ns. */
void backoff_count(struct backoff *b, uint64_t lived_ns);
void backoff_reset(struct backoff *b);
/*
 * Delay in nanoseconds before the next start: 0 without early deaths, else 0.1 s doubling to 30 s,
 * spread by jitter (any number) over -25 % … +25 %.
 */
uint64_t backoff_delay(const struct backoff *b, uint32_t jitter);
/* A random number for it. */
uint32_t backoff_jitter(void);

#endif
