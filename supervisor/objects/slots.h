// SPDX-License-Identifier: Apache-2.0
/*
 * slots - how many workers there may be: workers.max of them, and as long as all together are
 * within workers.memory_max.
 *
 * An object that is to start takes a slot. Where there is none, the idle object that was used
 * longest ago gives up its own; where none is idle, the object waits, and its calls with it, for as
 * long as workers.queue_timeout. What a running turn waits for (a call of another object, what an
 * object depends on) never waits for a slot, or two turns could wait for each other: it may go
 * beyond the limit by a quarter (SLOTS_RESERVE_MIN at least), and is refused beyond that. Replicas
 * wait as objects do; the second worker of a deploy and those of test runs are not counted against
 * starting them. Loop thread only.
 */
#ifndef SUPERVISOR_OBJECTS_SLOTS_H
#define SUPERVISOR_OBJECTS_SLOTS_H

#include "common/buf.h"

#include <stdbool.h>

enum { SLOTS_RESERVE_MIN = 16 };

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

/* A member of the status, and figures. */
void slots_status(const struct slots *slots, struct buf *json);
void slots_metrics(const struct slots *slots, struct buf *text);

#endif
