// SPDX-License-Identifier: Apache-2.0
#include "supervisor/schedules/schedule_heap.h"

#include <errno.h>
#include <stdlib.h>

int schedule_heap_reserve(struct schedule_heap *h, size_t count)
{
    if (count < h->cap)
        return 0;
    size_t cap = h->cap ? h->cap * 2 : 64;
    while (cap <= count)
        cap *= 2;
    void *grown = realloc(h->items, cap * sizeof(*h->items));
    if (!grown)
        return -ENOMEM;
    h->items = grown;
    h->cap = cap;
    return 0;
}

static void place(struct schedule_heap *h, size_t at, struct schedule *s)
{
    h->items[at] = s;
    s->heap_at = at;
}

static void rise(struct schedule_heap *h, size_t at)
{
    struct schedule *s = h->items[at];
    for (; at > 1 && h->items[at / 2]->due_us > s->due_us; at /= 2)
        place(h, at, h->items[at / 2]);
    place(h, at, s);
}

static void sink(struct schedule_heap *h, size_t at)
{
    struct schedule *s = h->items[at];
    for (size_t child; (child = at * 2) <= h->count; at = child) {
        if (child < h->count && h->items[child + 1]->due_us < h->items[child]->due_us)
            child++;
        if (h->items[child]->due_us >= s->due_us)
            break;
        place(h, at, h->items[child]);
    }
    place(h, at, s);
}

void schedule_heap_put(struct schedule_heap *h, struct schedule *s)
{
    if (!s->heap_at)
        place(h, ++h->count, s);
    rise(h, s->heap_at);
    sink(h, s->heap_at);
}

void schedule_heap_take(struct schedule_heap *h, struct schedule *s)
{
    size_t at = s->heap_at;
    if (!at)
        return;
    struct schedule *last = h->items[h->count--];
    s->heap_at = 0;
    if (last == s)
        return;
    place(h, at, last);
    rise(h, at);
    sink(h, last->heap_at);
}

struct schedule *schedule_heap_first(const struct schedule_heap *h)
{
    return h->count ? h->items[1] : NULL;
}

void schedule_heap_free(struct schedule_heap *h)
{
    free(h->items);
    *h = (struct schedule_heap){0};
}
