// SPDX-License-Identifier: Apache-2.0
/*
 * schedules - everything of the station that runs by itself: one timer for all of it, set to the
 * earliest time.
 *
 * A schedule is durable: every change of one is a `timer` line of a record of its object, and when
 * it ran, the line with its next time is in the record of that very turn. So what a tick wrote is
 * committed once; it may be run again when the station or its worker died before that.
 *
 *   schedules_served    what the module that serves now declares
 *   schedule_change.h   what a turn asks for, and the outcome of a tick, within one record
 *   schedule_tick.h     a tick as a call through the ordinary queue of its object
 *   schedule_save.h     data/schedules.tsv
 *
 * Loop thread only.
 */
#ifndef SUPERVISOR_SCHEDULES_SCHEDULES_H
#define SUPERVISOR_SCHEDULES_SCHEDULES_H

#include "common/buf.h"

#include <stdint.h>

struct object;
struct schedules;
struct station;

/* With what recovery found; dies where that cannot be understood. Nothing runs before _start. */
struct schedules *schedules_new(struct station *station);
void schedules_start(struct schedules *schedules);
/* Brings the file up to the journal, as far as the scribe gets. */
void schedules_settle(struct schedules *schedules, uint64_t timeout_ns);
void schedules_free(struct schedules *schedules);

/* A version serves: what it declares, and whether the functions of all others are there. */
void schedules_served(struct object *o);
/* Its file is new, or may be: it is started soon if it may declare schedules. */
void schedules_look_into(struct object *o);
/* Its file is back. */
void schedules_wake(struct object *o);
/* Appends the names of the functions that the object's schedules call, a JSON array of strings. */
void schedules_put_functions(struct object *o, struct buf *json);

/* Appends the schedules of an object, a JSON array. */
void schedules_put(struct object *o, struct buf *json);
void schedules_status(const struct schedules *schedules, struct buf *json);
void schedules_metrics(const struct schedules *schedules, struct buf *text);

#endif
