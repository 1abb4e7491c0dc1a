// SPDX-License-Identifier: Apache-2.0
/*
 * handover - the state of a frozen object goes over to its candidate: what was committed since that
 * loaded, and migrate_state() where its version has one that this state has not been through.
 *
 * migrate_state() is the version's first turn. What it writes is held here until the version stands
 * in the history, and then becomes one journal record together with the version's number (under a
 * key of the station's, state_key.h); so it is committed once, or not at all: where anything fails
 * before, the old version goes on with the old state. A kill between the history and the journal
 * leaves the new version with the old state, and the next start runs migrate_state() first.
 */
#ifndef SUPERVISOR_OBJECTS_HANDOVER_H
#define SUPERVISOR_OBJECTS_HANDOVER_H

#include "common/rpc.h"
#include "supervisor/objects/object.h"

/* Has the candidate a migrate_state() to run? */
bool handover_migrates(const struct object *o);
/* The object is frozen and its worker silent, or it has none. HANDED follows, or a failure. */
void handover_begin(struct object *o);
bool handover_is_under_way(const struct object *o);
/* migrate_state() has returned: what it wrote. */
void handover_migrated(struct worker *w, const struct rpc_turn_done *m);
/* The version that the candidate is to serve as is in the history. */
void handover_stored(struct object *o, uint64_t version);
void handover_drop(struct object *o);

#endif
