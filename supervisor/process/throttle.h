// SPDX-License-Identifier: Apache-2.0
/*
 * throttle - a family that keeps running into one of its limits gets little of the processors
 * (limits.throttled_cpu) until it is calm: a loop that forks, prints or allocates without end is
 * kept within its limits by the kernel and the supervisor, but every attempt costs others time.
 *
 * throttle_rule.h decides; here is what it looks at, and what is done: a quota of the family's
 * control group. Without such a group nothing happens. How many processes were refused is looked at
 * while turns run (every tick of turn/deadline.c) and else every second (objects/idle.c).
 */
#ifndef SUPERVISOR_PROCESS_THROTTLE_H
#define SUPERVISOR_PROCESS_THROTTLE_H

#include "supervisor/loop.h"
#include "supervisor/process/throttle_rule.h"

struct buf;
struct station;
struct worker;

/* In struct family. */
struct throttle {
    struct throttle_rule rule;
    struct loop_timer timer;  /* runs while it is throttled */
    int refused_fd;           /* of its group; negative: not opened, or there is none */
    bool has_looked;          /* that was tried */
    uint64_t output;          /* lines dropped, and seconds that it waited while throttled */
    uint64_t waited_ns;       /* of the second that has begun */
    uint64_t deaths;          /* by memory, in a row, of its object before it was born */
    bool serves;              /* deaths count */
    uint64_t percent;         /* that it is throttled to */
    uint64_t paused_until_ns; /* it is not throttled before */
    bool is_over;             /* it is being ended, or cannot be throttled */
};

void throttle_init(struct throttle *throttle);
/* It is about to start, at full speed: notes how its object died before. */
void throttle_born(struct worker *w);
/* It is about to take its first turn: one whose object keeps dying of its memory is throttled. */
void throttle_serves(struct worker *w);
void throttle_look(struct worker *w);
/* It printed or logged so many lines that were dropped. */
void throttle_dropped(struct worker *w, uint64_t lines);
/* It printed throttle_output_max(): no more of it is read for so long. */
void throttle_waits(struct worker *w, uint64_t wait_ns);
/* Its stacks are asked for, which takes a processor. Then it is killed, or has answered in time;
 * only something new throttles it again. */
void throttle_pause(struct worker *w);
/* Bytes of its output that are read in a second: log.output_max, or a tenth of it. */
uint64_t throttle_output_max(const struct worker *w);
/* It is about to die, or dead: that is not to be slow. For good. */
void throttle_end(struct worker *w);

/* Can families be throttled here? */
bool throttle_is_possible(const struct station *station);
/* null, or {"reason","cpu_percent","seconds"} of one that is. */
void throttle_put(const struct worker *w, struct buf *json);
void throttle_metrics(struct buf *text);

#endif
