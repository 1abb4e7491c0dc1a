// SPDX-License-Identifier: Apache-2.0
/*
 * object_name - how code names an object: "counter", "counter@station", or the path of its file,
 * "basics/counter.py" or "basics/counter", with any folders before it that are not of the objects
 * folder.
 */
#ifndef SUPERVISOR_OBJECTS_OBJECT_NAME_H
#define SUPERVISOR_OBJECTS_OBJECT_NAME_H

#include "supervisor/objects/object.h"

struct object_name {
    bool is_elsewhere; /* on a station that is not known */
    char problem[700]; /* why there is none, for people */
};

/* NULL (and the rest of *name) when there is no such object, or it is gone. */
struct object *object_name_find(struct station *station, struct span text,
                                struct object_name *name);

#endif
