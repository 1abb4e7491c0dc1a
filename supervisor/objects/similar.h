// SPDX-License-Identifier: Apache-2.0
/*
 * similar - which objects somebody may have meant who asked for one that does not exist.
 *
 * Cheap however many objects there are: ids made from the question (without ".py", with the folders
 * of a path, in other case) are looked up; of the others only those near the question in the order
 * of ids are compared, at most SIMILAR_COMPARED of them. Loop thread only.
 */
#ifndef SUPERVISOR_OBJECTS_SIMILAR_H
#define SUPERVISOR_OBJECTS_SIMILAR_H

#include "supervisor/objects/object.h"

enum {
    SIMILAR_MAX = 5,        /* ids that are offered */
    SIMILAR_COMPARED = 500, /* objects that are compared for one question */
};

struct similar {
    const struct object *objects[SIMILAR_MAX]; /* the likeliest first */
    unsigned distance[SIMILAR_MAX];
    size_t count;
};

/* `rest` is what followed the id in the path: "/counter" of "/objects/basics/counter"; or empty. */
void similar_find(struct object_table *table, const char *id, struct span rest,
                  struct similar *found);

/*
 * Insertions, deletions, replacements and swaps of neighbours between a and b, in other case
 * counted as equal; `most` + 1 for everything above `most`. Pure.
 */
unsigned similar_distance(struct span a, struct span b, unsigned most);

#endif
