// SPDX-License-Identifier: Apache-2.0
/*
 * cpu_time - how much of the processors a worker uses while it runs a turn: with everything that it
 * has started where its family has a group that counts it, else the process alone, all its threads.
 *
 * A tick asks (turn/deadline.c): one pread of a descriptor that is opened for the first turn that a
 * tick sees, or one question to the worker's clock.
 */
#ifndef SUPERVISOR_PROCESS_CPU_TIME_H
#define SUPERVISOR_PROCESS_CPU_TIME_H

#include <stdint.h>

struct worker;

/* In struct family. */
struct cpu_time {
    int fd;             /* of its group; negative: not opened, or there is none */
    uint64_t turn;      /* the call that is looked at; 0: none was */
    uint64_t before_ns; /* what had been used when that was seen first */
};

void cpu_time_init(struct cpu_time *cpu);
/* From now on this turn is looked at. */
void cpu_time_begin(struct worker *w, uint64_t turn);
/* Nanoseconds since; 0 when it is not known, as of a worker that is gone. */
uint64_t cpu_time_used(const struct worker *w);
/* Closes what is open. */
void cpu_time_end(struct cpu_time *cpu);

#endif
