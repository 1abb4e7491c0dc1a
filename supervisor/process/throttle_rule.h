// SPDX-License-Identifier: Apache-2.0
/*
 * throttle_rule - when a family is to be throttled, and when no more: a pure function of what was
 * counted and of now.
 *
 * One that runs into a limit a few times does no harm. One that within a second has so many
 * processes refused or killed by its limit of memory, or lines dropped, that it can only be a loop
 * without end begins; so does a worker whose object died of its memory before and before that. It
 * ends when for THROTTLE_CALM_NS (of memory: THROTTLE_MEMORY_CALM_NS) nothing of all that was
 * counted, or throttling is switched off; each time that it comes back soon it takes twice as long.
 */
#ifndef SUPERVISOR_PROCESS_THROTTLE_RULE_H
#define SUPERVISOR_PROCESS_THROTTLE_RULE_H

#include <stdint.h>

#define THROTTLE_CALM_NS        2000000000ull
#define THROTTLE_MEMORY_CALM_NS 10000000000ull /* a throttled one fills its memory slowly */
#define THROTTLE_AGAIN_NS       10000000000ull /* one that begins again so soon has to be calm for */
#define THROTTLE_CALM_MAX_NS    60000000000ull /* twice as long, at most this */
#define THROTTLE_WINDOW_NS      1000000000ull  /* in which so many have to be met: */

enum {
    THROTTLE_REFUSALS = 100, /* of processes */
    THROTTLE_DROPS = 10000,  /* of lines of output; a second that it waited counts as one, too */
    THROTTLE_DEATHS = 2,     /* in a row, of the object, by memory */
    THROTTLE_KILLS = 3,      /* of its processes, by memory */
};

enum throttle_reason {
    THROTTLE_NONE,
    THROTTLE_PROCESSES,
    THROTTLE_OUTPUT,
    THROTTLE_MEMORY,
    THROTTLE_KILLED, /* what it has started, by memory */
    THROTTLE_REASONS,
};

enum throttle_step { THROTTLE_KEEP, THROTTLE_BEGIN, THROTTLE_END };

/* What is known at one look. */
struct throttle_seen {
    uint64_t now_ns;  /* monotonic */
    uint64_t percent; /* what a throttled family gets; 0: none is throttled */
    uint64_t
        counts[THROTTLE_REASONS]; /* since the worker was born; a smaller one is not believed */
};

/* Zeroed: nothing was seen yet. */
struct throttle_rule {
    enum throttle_reason reason;       /* NONE: it is not throttled */
    uint64_t since_ns;                 /* it is */
    uint64_t calm_ns;                  /* that ends it */
    uint64_t ended_ns;                 /* the newest end; 0: there was none */
    uint64_t trouble_ns;               /* the newest look at which a count had grown */
    uint64_t window_ns;                /* begin of the window */
    uint64_t before[THROTTLE_REASONS]; /* the counts then */
    uint64_t seen[THROTTLE_REASONS];   /* at the newest look */
};

/* What follows from this look; the rule takes it as done. */
enum throttle_step throttle_rule_step(struct throttle_rule *rule, const struct throttle_seen *seen);
/* "processes", "output", "memory" of both of its reasons; "" of NONE. */
const char *throttle_reason_name(enum throttle_reason reason);

#endif
