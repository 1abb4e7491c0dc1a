// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/object_index.h"

#include "supervisor/objects/object.h"

#include <stdlib.h>
#include <string.h>

enum { INSERTED_MAX = 64 /* late comers up to which inserting beats sorting everything */ };

static bool grow(struct object_index *index)
{
    size_t cap = index->cap ? index->cap * 2 : 64;
    struct object **grown = realloc(index->objects, cap * sizeof(struct object *));
    if (!grown)
        return false;
    index->objects = grown;
    index->cap = cap;
    return true;
}

bool object_index_add(struct object_index *index, struct object *o)
{
    if (index->count == index->cap && !grow(index))
        return false;
    bool in_order = index->sorted == index->count &&
                    (index->count == 0 || strcmp(index->objects[index->count - 1]->id, o->id) < 0);
    index->objects[index->count++] = o;
    index->sorted += in_order;
    return true;
}

void object_index_free(struct object_index *index)
{
    free(index->objects);
    *index = (struct object_index){0};
}

/* --- order --- */

static int by_id(const void *a, const void *b)
{
    return strcmp((*(struct object *const *)a)->id, (*(struct object *const *)b)->id);
}

static size_t lower_bound(const struct object_index *index, size_t count, const char *id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(index->objects[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The first that is not in order goes to its place. */
static void insert_next(struct object_index *index)
{
    struct object *o = index->objects[index->sorted];
    size_t at = lower_bound(index, index->sorted, o->id);
    memmove(&index->objects[at + 1], &index->objects[at],
            (index->sorted - at) * sizeof(struct object *));
    index->objects[at] = o;
    index->sorted++;
}

static void put_in_order(struct object_index *index)
{
    if (index->count - index->sorted > INSERTED_MAX) {
        qsort(index->objects, index->count, sizeof(struct object *), by_id);
        index->sorted = index->count;
    }
    while (index->sorted < index->count)
        insert_next(index);
}

void object_index_remove(struct object_index *index, const size_t *places, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        index->objects[places[i]] = NULL;
    for (size_t i = 0; count && i < index->count; i++)
        if (index->objects[i])
            index->objects[kept++] = index->objects[i];
    if (count)
        index->count = index->sorted = kept;
}

size_t object_index_find(struct object_index *index, const char *id)
{
    put_in_order(index);
    return lower_bound(index, index->count, id);
}

struct object *object_index_at(struct object_index *index, size_t place)
{
    put_in_order(index);
    return place < index->count ? index->objects[place] : NULL;
}
