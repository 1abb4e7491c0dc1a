// SPDX-License-Identifier: Apache-2.0
/*
 * needs - keeps what objects declare to depend on up: what an object needs is started with it and
 * serves before the object takes its first turn, and ends behind it.
 *
 * A worker that has loaded is held until everything in its "depends" serves. Something that does
 * not exist, does not load or depends on the object itself makes the start fail, as an error of its
 * source would; the object gets another chance when what blocked it appears or changes. Decides
 * nothing else: lifecycle starts and ends workers.
 */
#ifndef SUPERVISOR_OBJECTS_NEEDS_H
#define SUPERVISOR_OBJECTS_NEEDS_H

#include "supervisor/objects/object.h"

#include <jansson.h>

/* The object begins to start: so does what it is known to need. */
void needs_start(struct object *o);
/*
 * The candidate has loaded. True: it is held; later candidate_complete() or
 * OBJECT_EV_CANDIDATE_FAILED follows, perhaps has already.
 */
bool needs_hold(struct object *o);

/* A worker lives whose object depends on this one: it is not ended for being idle. */
bool needs_keep(const struct object *o);
/* The same, and that object is leaving too: it goes first. */
bool needs_outlive(const struct object *o);

/* It exists, serves or is not what it was: who was blocked by it gets another chance, soon. */
void needs_changed(struct object *o);
/* What the last start failed for; NULL: not for something that it depends on. */
const char *needs_blocked_by(const struct object *o);
void needs_free(struct object *o);

/* [{"object_id","phase"}] of what it depends on; "missing" for what does not exist. */
json_t *needs_json(const struct object *o);
/* ["id"] of objects with a worker that depend on it. */
json_t *needs_users_json(const struct object *o);

#endif
