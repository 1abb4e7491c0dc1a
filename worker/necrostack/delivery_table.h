// SPDX-License-Identifier: Apache-2.0
/*
 * delivery_table - which deliveries of which event are out: for callers who acknowledge events.
 *
 * A backend knows deliveries, a program that calls pull() and ack() itself knows events. The table
 * finds the delivery by the event's id; where an event was delivered several times, the one that
 * was handed out first. It holds DELIVERY_TABLE_MAX at most and then forgets the oldest, whose
 * entries the backend delivers again to somebody. No references to events; one thread.
 */
#ifndef WORKER_NECROSTACK_DELIVERY_TABLE_H
#define WORKER_NECROSTACK_DELIVERY_TABLE_H

#include "common/events/backend.h"

enum { DELIVERY_TABLE_MAX = 100000 };

struct delivery_held;

/* All zero is an empty one. */
struct delivery_table {
    struct delivery_held *by_event;
    size_t count;
};

/* A delivery known already gets its new attempt. 0 or -ENOMEM. */
int delivery_table_put(struct delivery_table *table, const uint8_t event_id[EVENT_ID_SIZE],
                       const struct delivery *delivery);
/* Takes the oldest out; sets id and attempt. False: there is none. */
bool delivery_table_take(struct delivery_table *table, const uint8_t event_id[EVENT_ID_SIZE],
                         struct delivery *delivery);
void delivery_table_clear(struct delivery_table *table);

#endif
