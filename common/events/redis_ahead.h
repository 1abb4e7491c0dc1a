// SPDX-License-Identifier: Apache-2.0
/*
 * redis_ahead - deliveries that were fetched and not handed out yet, in the order of the stream.
 *
 * Holds a reference to each event. Pure but for memory.
 */
#ifndef COMMON_EVENTS_REDIS_AHEAD_H
#define COMMON_EVENTS_REDIS_AHEAD_H

#include "common/events/backend.h"

struct redis_fetched {
    struct event *event;
    struct delivery_id id;
    uint32_t attempts; /* before this one */
    uint64_t owned_ns; /* since when, at the latest, nobody else may claim it; monotonic */
};

struct redis_ahead {
    struct redis_fetched *ring;
    size_t capacity, first, count;
};

/* Takes the reference; -ENOMEM leaves it. One that is there already is replaced. */
int redis_ahead_insert(struct redis_ahead *ahead, const struct redis_fetched *fetched);
/* Before all others. */
int redis_ahead_put_first(struct redis_ahead *ahead, const struct redis_fetched *fetched);
/* The index-th; NULL beyond the end. */
struct redis_fetched *redis_ahead_at(const struct redis_ahead *ahead, size_t index);
/* Hands the first one over, with its reference. */
struct redis_fetched redis_ahead_take(struct redis_ahead *ahead);
/* Releases the one with this id, if it is there. */
void redis_ahead_remove(struct redis_ahead *ahead, struct delivery_id id);
void redis_ahead_clear(struct redis_ahead *ahead);
void redis_ahead_free(struct redis_ahead *ahead);

#endif
