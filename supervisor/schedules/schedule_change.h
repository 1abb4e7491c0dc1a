// SPDX-License-Identifier: Apache-2.0
/*
 * schedule_change - what one record of the journal changes of the schedules of its object: begin,
 * say what changes, get the text of it for the record, then accept it or drop it, all within one
 * round of the loop. Nothing is seen of it before it is accepted. Loop thread only.
 */
#ifndef SUPERVISOR_SCHEDULES_SCHEDULE_CHANGE_H
#define SUPERVISOR_SCHEDULES_SCHEDULE_CHANGE_H

#include "common/rpc.h"
#include "supervisor/schedules/schedule.h"

struct object;

struct schedule_change {
    struct object *object;
    struct schedule *touched;
    struct buf text; /* timer lines, as record.h has them */
    uint32_t count;  /* of them */
};

void schedule_change_begin(struct schedule_change *c, struct object *o);
/*
 * Each returns 0; -ENOMEM; -EDQUOT: above limits.schedules_object_max; -EUSERS: above
 * limits.schedules_max. Only drop may follow an error.
 */
int schedule_change_set(struct schedule_change *c, enum schedule_origin origin,
                        const struct rpc_schedule *wanted);
/* What a turn asked for, in its order. -EBADMSG: what no worker of ours says. */
int schedule_change_asked(struct schedule_change *c, const struct rpc_schedules *asked);
void schedule_change_delete(struct schedule_change *c, struct schedule *s);
/* Why it does not run from now on; empty: it does again. */
int schedule_change_suspend(struct schedule_change *c, struct schedule *s, const char *why);
/* It ran; one run is over then, others go on at following_us. status: "ok" or what went wrong. */
struct schedule_run {
    int64_t began_us, following_us;
    uint64_t skipped; /* times that passed before */
    const char *status;
};
int schedule_change_ran(struct schedule_change *c, struct schedule *s,
                        const struct schedule_run *run);
/* It did not run, and goes on at next_us (0: it is over). */
int schedule_change_missed(struct schedule_change *c, struct schedule *s, int64_t next_us,
                           uint64_t skipped);

/* Fills text and count. 0 or -ENOMEM. */
int schedule_change_write(struct schedule_change *c);
/* The record has that number; 0: there is none, and memory alone changes. */
void schedule_change_accept(struct schedule_change *c, uint64_t seq);
void schedule_change_drop(struct schedule_change *c);
/*
 * Writes, makes a record of it alone and accepts. Where no record can be made, it is logged, and
 * memory changes all the same: the next record of each of these schedules says all of it.
 */
void schedule_change_commit(struct schedule_change *c);

#endif
