// SPDX-License-Identifier: Apache-2.0
/*
 * memory_kills - processes that a worker has started and that the kernel killed because
 * limits.memory_mb was used up, while the worker lives on. They are counted for its object and for
 * the station, and a line in the object's log says so, no more often than every
 * MEMORY_KILLS_PAUSE_NS.
 *
 * A kill counts once the worker was seen alive a look later: else it was, or led to, its own. With
 * v2 the kernel ends the whole group at once, so there are none.
 */
#ifndef SUPERVISOR_PROCESS_MEMORY_KILLS_H
#define SUPERVISOR_PROCESS_MEMORY_KILLS_H

#include <stdbool.h>
#include <stdint.h>

#define MEMORY_KILLS_PAUSE_NS 10000000000ull

struct buf;
struct worker;

/* In struct family. */
struct memory_kills {
    int fd;           /* of its group; negative: there is none */
    uint64_t seen;    /* at the look before */
    uint64_t counted; /* those of other processes than the worker */
    uint64_t told;    /* of these, in the log */
    uint64_t told_ns; /* when; 0: not yet */
};

void memory_kills_init(struct memory_kills *kills);
/* Its group is made. */
void memory_kills_born(struct worker *w);
/* To be called every second. */
void memory_kills_look(struct worker *w);
/* It is reaped: was one killed at its end, which may have been itself? */
bool memory_kills_last(const struct worker *w);
void memory_kills_end(struct worker *w);

void memory_kills_metrics(struct buf *text);

#endif
