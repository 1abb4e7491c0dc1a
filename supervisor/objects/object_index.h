// SPDX-License-Identifier: Apache-2.0
/*
 * object_index - the objects of the station in the order of their ids.
 *
 * Adding is cheap: what comes in order stays in order, the rest is sorted in when somebody looks.
 * Borrows the objects. Loop thread only.
 */
#ifndef SUPERVISOR_OBJECTS_OBJECT_INDEX_H
#define SUPERVISOR_OBJECTS_OBJECT_INDEX_H

#include <stdbool.h>
#include <stddef.h>

struct object;

struct object_index {
    struct object **objects;
    size_t count, cap;
    size_t sorted; /* that many from the start are in order */
};

/* False when memory is short. */
bool object_index_add(struct object_index *index, struct object *o);
void object_index_free(struct object_index *index);
/* Place of the first object whose id is `id` or greater; count when there is none. */
size_t object_index_find(struct object_index *index, const char *id);
/* Takes those out; each place once, as object_index_find() has told it. */
void object_index_remove(struct object_index *index, const size_t *places, size_t count);
/* NULL past the end. Places hold until the next addition or removal. */
struct object *object_index_at(struct object_index *index, size_t place);

#endif
