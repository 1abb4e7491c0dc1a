// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/similar.h"

#include "supervisor/objects/object_index.h"

#include <strings.h>

enum {
    DISTANCE_MAX = 3,
    DISTANCE_SUFFIX = 1, /* "counter" for "basics_counter" */
};

/* --- distance --- */

struct rows {
    unsigned char cells[3][OBJECT_ID_MAX + 1];
    unsigned char *above2, *above, *here;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* One cell: a[i] against b[j]. */
static unsigned step(const struct rows *r, struct span a, struct span b, size_t i, size_t j)
{
    bool same = lower(a.data[i]) == lower(b.data[j]);
    unsigned best = least(least(r->above[j + 1] + 1u, r->here[j] + 1u), r->above[j] + !same);
    if (i > 0 && j > 0 && lower(a.data[i]) == lower(b.data[j - 1]) &&
        lower(a.data[i - 1]) == lower(b.data[j]))
        best = least(best, r->above2[j - 1] + 1u);
    return best;
}

/* Only cells within `most` of the diagonal can matter; the others count as beyond. */
static unsigned fill_row(struct rows *r, struct span a, struct span b, size_t i, unsigned most)
{
    size_t from = i > most ? i - most : 0, to = i + most + 1 < b.len ? i + most + 1 : b.len;
    unsigned smallest = most + 1;
    memset(r->here, (int)most + 1, b.len + 1);
    r->here[0] = (unsigned char)least((unsigned)i + 1, most + 1);
    for (size_t j = from; j < to; j++) {
        r->here[j + 1] = (unsigned char)least(step(r, a, b, i, j), most + 1);
        smallest = least(smallest, r->here[j + 1]);
    }
    return least(smallest, r->here[0]);
}

static void next_row(struct rows *r)
{
    unsigned char *spare = r->above2;
    r->above2 = r->above;
    r->above = r->here;
    r->here = spare;
}

/* What both begin and end with costs nothing. */
static void strip_common(struct span *a, struct span *b)
{
    while (a->len && b->len && lower(a->data[0]) == lower(b->data[0])) {
        *a = (struct span){a->data + 1, a->len - 1};
        *b = (struct span){b->data + 1, b->len - 1};
    }
    while (a->len && b->len && lower(a->data[a->len - 1]) == lower(b->data[b->len - 1])) {
        a->len--;
        b->len--;
    }
}

unsigned similar_distance(struct span a, struct span b, unsigned most)
{
    struct rows r;
    size_t difference = a.len > b.len ? a.len - b.len : b.len - a.len;
    if (difference > most || a.len > OBJECT_ID_MAX || b.len > OBJECT_ID_MAX)
        return most + 1;
    strip_common(&a, &b);
    r.above2 = r.cells[0];
    r.above = r.cells[1];
    r.here = r.cells[2];
    for (size_t j = 0; j <= b.len; j++)
        r.above[j] = (unsigned char)least((unsigned)j, most + 1);
    for (size_t i = 0; i < a.len; i++) {
        if (fill_row(&r, a, b, i, most) > most)
            return most + 1;
        next_row(&r);
    }
    return r.above[b.len];
}

/* --- the likeliest few --- */

static bool is_known(const struct similar *found, const struct object *o)
{
    for (size_t i = 0; i < found->count; i++)
        if (found->objects[i] == o)
            return true;
    return false;
}

static void offer(struct similar *found, const struct object *o, unsigned distance)
{
    if (!o || o->phase == OBJECT_GONE || is_known(found, o))
        return;
    size_t at = found->count;
    while (at > 0 && found->distance[at - 1] > distance)
        at--;
    if (at == SIMILAR_MAX)
        return;
    size_t last = found->count < SIMILAR_MAX ? found->count++ : SIMILAR_MAX - 1;
    for (size_t i = last; i > at; i--) {
        found->objects[i] = found->objects[i - 1];
        found->distance[i] = found->distance[i - 1];
    }
    found->objects[at] = o;
    found->distance[at] = distance;
}

/* --- ids made from the question --- */

static void offer_id(struct object_table *table, struct similar *found, char *id, size_t len)
{
    if (len > 3 && strncasecmp(id + len - 3, ".py", 3) == 0)
        len -= 3;
    offer(found, object_find(table, id, len), 0);
    for (size_t i = 0; i < len; i++)
        id[i] = lower(id[i]);
    offer(found, object_find(table, id, len), 0);
}

/* "/objects/basics/counter.py": the file's path where the id belongs. */
static void offer_path(struct object_table *table, struct similar *found, const char *id,
                       struct span rest)
{
    char joined[OBJECT_ID_MAX];
    size_t len = strlen(id);
    if (len + rest.len > sizeof(joined) || rest.len == 0)
        return;
    memcpy(joined, id, len);
    for (size_t i = 0; i < rest.len; i++)
        joined[len + i] = rest.data[i] == '/' ? '_' : rest.data[i];
    offer_id(table, found, joined, len + rest.len);
}

/* --- the neighbourhood --- */

/* "counter" asked for, "basics_counter" there, or the other way round. */
static bool ends_with_part(struct span whole, struct span part)
{
    return whole.len > part.len + 1 && whole.data[whole.len - part.len - 1] == '_' &&
           memcmp(whole.data + whole.len - part.len, part.data, part.len) == 0;
}

/* A short id is not like everything that is as short. */
static unsigned most_for(size_t len)
{
    return len < 2 ? 0 : len < 6 ? 1 : len < 12 ? 2 : DISTANCE_MAX;
}

static void compare(struct similar *found, struct span id, const struct object *o)
{
    struct span other = span_of(o->id);
    unsigned most = most_for(id.len);
    if (found->count == SIMILAR_MAX && found->distance[SIMILAR_MAX - 1] <= most)
        most = found->distance[SIMILAR_MAX - 1]; /* the rest would not get in */
    if (ends_with_part(other, id) || ends_with_part(id, other)) {
        offer(found, o, DISTANCE_SUFFIX);
        return;
    }
    unsigned distance = similar_distance(id, other, most);
    if (distance <= most)
        offer(found, o, distance);
}

void similar_find(struct object_table *table, const char *id, struct span rest,
                  struct similar *found)
{
    struct object_index *index = object_order(table);
    size_t len = strlen(id), place = object_index_find(index, id);
    char copy[OBJECT_ID_MAX];
    *found = (struct similar){.count = 0};
    if (len > sizeof(copy))
        return;
    memcpy(copy, id, len);
    offer_id(table, found, copy, len);
    offer_path(table, found, id, rest);
    size_t from = place > SIMILAR_COMPARED / 2 ? place - SIMILAR_COMPARED / 2 : 0;
    struct object *o;
    for (size_t i = from; i < from + SIMILAR_COMPARED && (o = object_index_at(index, i)); i++)
        compare(found, (struct span){id, len}, o);
}
