// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/output_tail.h"

#include <stdlib.h>
#include <string.h>

enum { CAP_FIRST = 1024 };

static void reverse(char *from, char *to)
{
    while (from < to) {
        char byte = *from;
        *from++ = *--to;
        *to = byte;
    }
}

/* Puts the oldest byte of a full ring in front: rotated by three reversals, in place. */
static void straighten(struct output_tail *t)
{
    if (t->start == 0)
        return;
    reverse(t->ring, t->ring + t->start);
    reverse(t->ring + t->start, t->ring + t->cap);
    reverse(t->ring, t->ring + t->cap);
    t->start = 0;
}

static void grow(struct output_tail *t, size_t wanted)
{
    size_t cap = t->cap ? t->cap : CAP_FIRST;
    while (cap < wanted && cap < OUTPUT_TAIL_MAX)
        cap *= 2;
    char *ring = cap > t->cap ? realloc(t->ring, cap) : NULL; /* not yet round: start is 0 */
    if (ring) {
        t->ring = ring;
        t->cap = cap;
    }
}

static void put(struct output_tail *t, const char *bytes, size_t len)
{
    size_t at = (t->start + t->len) % t->cap;
    size_t first = len < t->cap - at ? len : t->cap - at;
    memcpy(t->ring + at, bytes, first);
    memcpy(t->ring, bytes + first, len - first);
    t->len += len;
    if (t->len > t->cap) {
        t->start = (t->start + t->len - t->cap) % t->cap;
        t->len = t->cap;
    }
}

void output_tail_add(struct output_tail *t, const char *bytes, size_t len)
{
    t->total += len;
    if (t->start == 0 && t->len + len > t->cap)
        grow(t, t->len + len);
    if (t->cap == 0)
        return;
    if (len > t->cap) {
        bytes += len - t->cap;
        len = t->cap;
    }
    put(t, bytes, len);
}

struct span output_tail_text(struct output_tail *t)
{
    if (t->len == 0)
        return (struct span){"", 0};
    straighten(t);
    return (struct span){t->ring, t->len};
}

void output_tail_free(struct output_tail *t)
{
    free(t->ring);
    *t = (struct output_tail){0};
}
