// SPDX-License-Identifier: Apache-2.0
/*
 * eager_wait - waiting for a descriptor whose answer may come within microseconds.
 *
 * To sleep and be woken costs as much as a whole round trip to a server on the same machine. So a
 * wait is active for its first EAGER_WAIT_NS, where that pays: while answers came so soon lately.
 * After EAGER_WAIT_MISSES active waits in a row that were in vain, only one in EAGER_WAIT_REST is
 * active, until one comes in time again: a server that is far away, slow or short of a processor
 * costs next to nothing.
 *
 * Knows nothing of Python: the caller gives up its lock. One owner, no memory.
 */
#ifndef COMMON_EVENTS_EAGER_WAIT_H
#define COMMON_EVENTS_EAGER_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#define EAGER_WAIT_NS (100 * 1000ull)
enum { EAGER_WAIT_MISSES = 8, EAGER_WAIT_REST = 128 };

/* Zero to begin with. */
struct eager_wait {
    unsigned misses;  /* active waits in vain, in a row */
    unsigned resting; /* waits that sleep at once before the next active one */
};

/* True: the descriptor is readable; false: not within ns, or a signal came. `soon`: what it waits
 * for is known to be on its way; without it, it sleeps at once. */
bool eager_wait(struct eager_wait *wait, int fd, uint64_t ns, bool soon);

#endif
