// SPDX-License-Identifier: Apache-2.0
/*
 * replicas - the workers of an object beside its owner, as many as __endpoint__["workers"] asks
 * for.
 *
 * The owner (object.worker) runs the turns that write. A replica has the same source and state and
 * runs turns that only read: it is sent every accepted write (UPDATE) from the moment its LOAD is
 * queued, so whatever it is sent afterwards is run on a state that holds them. In a stateless
 * object all workers are alike.
 *
 * Replicas come and go without the object's phase: they start once an owner serves, one that dies
 * is replaced after a backoff of their own, and when the owner dies one of them takes its place.
 */
#ifndef SUPERVISOR_OBJECTS_REPLICAS_H
#define SUPERVISOR_OBJECTS_REPLICAS_H

#include "common/rpc.h"
#include "supervisor/process/backoff.h"
#include "supervisor/process/worker.h"

struct object;

struct replicas {
    struct worker_ref *refs; /* loading or serving */
    size_t count, cap;
    struct backoff backoff;
    struct loop_timer start_timer; /* a dead one is replaced */
    struct loop_timer lag_timer;   /* while one has writes to apply */
};

/* Starts what is missing, with the accepted source. */
void replicas_fill(struct object *o);
/* Some are missing, and there is no room for them. */
bool replicas_wait(const struct object *o);
/* Takes them all out of service: they finish what they have and exit. */
void replicas_drain(struct object *o);
void replicas_free(struct replicas *r);

bool replicas_has(const struct object *o, const struct worker *w);
/* The i-th worker of the object: 0 the owner, then the replicas; NULL where it is not serving. */
struct worker *replicas_worker(const struct object *o, size_t i);
/* What a turn has written was accepted: it is queued for each replica. */
void replicas_update(struct object *o, const struct rpc_update *update);
/* Has it writes to apply for longer than a turn should wait? Then it gets no turn. */
bool replicas_is_behind(const struct worker *w);
/* The owner died: another takes its place. False when none can. */
bool replicas_promote(struct object *o, const struct worker *dead);

/* From lifecycle. */
void replicas_load_failed(struct worker *w, const struct rpc_load_failed *why);
void replicas_dead(struct worker *w);

#endif
