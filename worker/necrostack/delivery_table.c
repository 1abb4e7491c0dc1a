// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/delivery_table.h"

#include <errno.h>
#include <stdlib.h>

#include "common/seeded_hash.h"

struct delivery_held {
    uint8_t event_id[EVENT_ID_SIZE];
    struct delivery_id id;
    uint32_t attempt;
    struct delivery_held *later; /* of the same event; only the first is in the hash */
    UT_hash_handle hh;
};

static struct delivery_held *find(const struct delivery_table *table, const uint8_t *event_id)
{
    struct delivery_held *first;
    HASH_FIND(hh, table->by_event, event_id, EVENT_ID_SIZE, first);
    return first;
}

static bool add_first(struct delivery_table *table, struct delivery_held *held)
{
    HASH_ADD(hh, table->by_event, event_id, EVENT_ID_SIZE, held);
    return held->hh.tbl != NULL;
}

/* The first of an event leaves, and the next takes its place. */
static void remove_first(struct delivery_table *table, struct delivery_held *first)
{
    HASH_DEL(table->by_event, first);
    struct delivery_held *next = first->later;
    free(first);
    table->count--;
    if (!next || add_first(table, next))
        return;
    while (next) { /* memory is short: they count as not acknowledged */
        struct delivery_held *gone = next;
        next = next->later;
        free(gone);
        table->count--;
    }
}

static bool is_same(const struct delivery_held *held, const struct delivery *delivery)
{
    return held->id.high == delivery->id.high && held->id.low == delivery->id.low;
}

int delivery_table_put(struct delivery_table *table, const uint8_t event_id[EVENT_ID_SIZE],
                       const struct delivery *delivery)
{
    struct delivery_held *first = find(table, event_id), *last = NULL;
    for (struct delivery_held *held = first; held; held = held->later) {
        if (is_same(held, delivery)) {
            held->attempt = delivery->attempt;
            return 0;
        }
        last = held;
    }

    struct delivery_held *held = calloc(1, sizeof *held);
    if (!held)
        return -ENOMEM;
    memcpy(held->event_id, event_id, EVENT_ID_SIZE);
    held->id = delivery->id;
    held->attempt = delivery->attempt;
    if (last) {
        last->later = held;
    } else if (!add_first(table, held)) {
        free(held);
        return -ENOMEM;
    }
    table->count++;
    if (table->count > DELIVERY_TABLE_MAX)
        remove_first(table, table->by_event);
    return 0;
}

bool delivery_table_take(struct delivery_table *table, const uint8_t event_id[EVENT_ID_SIZE],
                         struct delivery *delivery)
{
    struct delivery_held *first = find(table, event_id);
    if (!first)
        return false;
    delivery->id = first->id;
    delivery->attempt = first->attempt;
    remove_first(table, first);
    return true;
}

void delivery_table_clear(struct delivery_table *table)
{
    while (table->by_event)
        remove_first(table, table->by_event);
}
