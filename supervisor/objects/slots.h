// SPDX-License-Identifier: Apache-2.0
/*
 * slots - how many workers there may be: workers.max of them, and as long as all together are
 * within workers.memory_max.
 *
 * An object that is to start takes a slot. Where there is none, the idle object that was used
 * longest ago gives up its own; where none is idle, the object waits. What a running turn waits for
 * (a call of another object, what an object depends on) never waits for a slot, or two turns could
 * wait for each other: it may go beyond the limit by a quarter (SLOTS_RESERVE_MIN at least), and is
 * refused beyond that. The second worker of a deploy or renewal and those of test runs are not
 * counted against starting them. What is beyond the limit (lent, or the setting was lowered) ends
 * once it has been idle for a second, the longest unused first.
 *
 * Whoever waits with the object is told after workers.queue_timeout: its calls each at their time;
 * requests for its metadata, restarts and orders of a deploy when the object has waited so long
 * (lifecycle_waited()); what depends on it after workers.start_timeout. An object that is to run
 * without a caller (it declares schedules, others depend on it, it is back after a crash) waits
 * until there is a slot, and replicas look for one twice a second: their status says so.
 *
 * An object that waits is COLD and stays so: to wait is to be in a queue of this file, which is why
 * it is no phase of object_fsm; `is_lent` is part of the question that follows it. Loop thread
 * only.
 */
#ifndef SUPERVISOR_OBJECTS_SLOTS_H
#define SUPERVISOR_OBJECTS_SLOTS_H

#include "common/buf.h"

#include <stdbool.h>

enum { SLOTS_RESERVE_MIN = 16, SLOTS_PROBLEM_SIZE = 128 };

struct object;
struct slots;
struct station;

struct slots *slots_new(struct station *station); /* NULL when memory is short */
void slots_free(struct slots *slots);

/* Whether the object may start now. Else it is started by lifecycle_demand() once it may. */
bool slots_take(struct object *o);
/* A running turn waits for its start. False: the reserve is used up, and so it should not. */
bool slots_lend(struct object *o);
/* Is there room for one more worker of an object that serves? */
bool slots_have_room(const struct station *station);
/* It waits no longer. */
void slots_forget(struct object *o);
/* The setting that an object waits because of; NULL: it does not. */
const char *slots_limit(const struct object *o);
/* The setting that leaves no room for one more worker; there has to be one. */
const char *slots_short_of(const struct station *station);
/* Why who waited with it is told, SLOTS_PROBLEM_SIZE bytes: "it has waited 30 s … for a worker …".
 */
void slots_problem(const struct object *o, char *text);
/* "waits_for" and "replicas_wait_for", where they do: "a worker (workers.max)". */
void slots_put(const struct object *o, struct buf *json);

/* A member of the status, and figures. */
void slots_status(const struct slots *slots, struct buf *json);
void slots_metrics(const struct slots *slots, struct buf *text);

#endif
