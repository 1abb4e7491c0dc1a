// SPDX-License-Identifier: Apache-2.0
/*
 * saved - what becomes of an object when something in the objects folder changes: its own file, or
 * one that it has imported.
 */
#ifndef SUPERVISOR_OBJECTS_SAVED_H
#define SUPERVISOR_OBJECTS_SAVED_H

#include "supervisor/objects/object.h"

/*
 * The file was written, appeared or was replaced. It is looked at when it was left alone for a few
 * milliseconds (at most 20); equal content does nothing.
 */
void saved_file(struct object *o);
/* It was written just now: what was read of it before may be half of it. */
bool saved_is_settling(const struct object *o);
/* A file that it has imported was written: it is loaded again, soon. */
void saved_import(struct object *o);
/* The file is not there; it counts as removed unless it comes back within 100 ms. */
void saved_missing(struct object *o);

#endif
