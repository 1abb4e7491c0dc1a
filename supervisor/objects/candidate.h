// SPDX-License-Identifier: Apache-2.0
/*
 * candidate - the worker that loads what is to serve next, until it does: it imports, passes
 * health() where a version is to be accepted or another one serves meanwhile, and gets its version.
 * Then it waits for the object to be handed over (handover.h). lifecycle decides what becomes of
 * the object.
 */
#ifndef SUPERVISOR_OBJECTS_CANDIDATE_H
#define SUPERVISOR_OBJECTS_CANDIDATE_H

#include "common/rpc.h"
#include "supervisor/objects/object.h"

/* With the newest source, now or when limits.candidates_max lets it. */
void candidate_start(struct object *o);
/* Whatever it was doing, it is not wanted any more. */
void candidate_discard(struct object *o);
bool candidate_is(const struct worker *w);
/* The object's candidate; NULL: none. */
struct worker *candidate_worker(const struct object *o);

/* What it does: */
void candidate_ready(struct worker *w, const struct rpc_ready *ready);
/* And everything that it depends on serves. */
void candidate_complete(struct object *o);
void candidate_healthy(struct worker *w);
/* It does not load, is not well, or cannot migrate the state. */
void candidate_refused(struct worker *w, const struct rpc_load_failed *why);
void candidate_died(struct worker *w, int wait_status);
/* Ends it: it did nothing wrong by itself, and load_error says why it does not serve. */
void candidate_give_up(struct object *o);

#endif
