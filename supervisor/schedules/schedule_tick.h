// SPDX-License-Identifier: Apache-2.0
/*
 * schedule_tick - one run of a schedule: a call of kind TIMER through the queue of its object, as a
 * client's, so that it is exclusive, atomic, starts a cold object and has a deadline.
 *
 * A tick that ended, whatever came of it, is in the record of its turn together with its next time.
 * One whose worker died is run again after a while, TICK_CRASHES times at most; one that could not
 * begin (a limit, a full disk, an object that does not load) waits until it can. Loop thread only.
 */
#ifndef SUPERVISOR_SCHEDULES_SCHEDULE_TICK_H
#define SUPERVISOR_SCHEDULES_SCHEDULE_TICK_H

#include "supervisor/schedules/schedule_change.h"

struct schedules;
struct schedule_tick;

/* Of a schedule that is due and not in the heap. */
void schedule_tick_start(struct schedules *all, struct schedule *s, int64_t now_us);
/* The wall clock was set by so much: what follows it is reckoned anew. */
void schedule_tick_step(struct schedule_tick *tick, int64_t by_us, int64_t now_us);
/* The function that it calls. */
struct span schedule_tick_function(const struct schedule_tick *tick);
/*
 * Its turn ended so, with that reply: part of the change that the turn's record makes. Nothing for
 * an outcome that leaves the tick to be run again. 0 or an error of schedule_change.h.
 */
int schedule_tick_ended(struct schedule_tick *tick, struct schedule_change *c,
                        enum rpc_outcome outcome, struct span reply);
/* That record could not be made: it is run again. */
void schedule_tick_refused(struct schedule_tick *tick);

#endif
