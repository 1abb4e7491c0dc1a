// SPDX-License-Identifier: Apache-2.0
/*
 * lifecycle - decides when an object gets a worker, a newer one, or none: carries out the actions
 * of object_fsm and translates what happens to workers and files into its events.
 */
#ifndef SUPERVISOR_OBJECTS_LIFECYCLE_H
#define SUPERVISOR_OBJECTS_LIFECYCLE_H

#include "supervisor/objects/object.h"

void lifecycle_event(struct object *o, enum object_event event);

/* A start or a deploy has come to this step; where crash tests may end it: "deploy-frozen". */
void lifecycle_passed(const struct object *o, const char *step);

/* A call was queued: it starts, once there is a slot for it (slots.h). */
void lifecycle_demand(struct object *o);
/* It has no worker, and somebody waits for it. */
bool lifecycle_is_wanted(const struct object *o);
/* It has waited for a slot as long as anybody should: whoever waits is told. Calls count for
 * themselves (turn/deadline.c). */
void lifecycle_waited(struct object *o);
/* The worker has answered a turn, or lived for a while: an outage is over. */
void lifecycle_proven(struct object *o);

/*
 * Runs fn(arg) once the object has loaded and its metadata is there, or has failed to (metadata is
 * NULL then, load_error says why, or slots_limit()): at once or later. Starts it where needed. 0 or
 * -ENOMEM.
 */
int lifecycle_when_loaded(struct object *o, void (*fn)(void *arg), void *arg);

/*
 * Runs fn(arg) once the object has a worker or has failed to get one: at once or later. Starts it
 * where needed. 0 or -ENOMEM.
 */
int lifecycle_when_started(struct object *o, void (*fn)(void *arg), void *arg);

/*
 * Runs fn(arg) once the object has taken up its file, where that may have changed while it had no
 * worker, or gets none (slots_limit()); else at once. 0 or -ENOMEM.
 */
int lifecycle_when_settled(struct object *o, void (*fn)(void *arg), void *arg);

/* From the child table. */
void lifecycle_worker_ready(struct worker *w, const struct rpc_ready *ready);
void lifecycle_worker_load_failed(struct worker *w, const struct rpc_load_failed *why);
/* The worker has answered everything it was sent. */
void lifecycle_worker_answered(struct worker *w);
/* After turn/ has answered or requeued its calls. */
void lifecycle_worker_dead(struct worker *w, int wait_status);

#endif
