// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_ahead.h"

#include "common/events/redis_command.h"

#include <errno.h>
#include <stdlib.h>

enum { RING_FIRST = 64 /* a power of two */ };

static struct redis_fetched *place(const struct redis_ahead *ahead, size_t index)
{
    return &ahead->ring[(ahead->first + index) & (ahead->capacity - 1)];
}

static int grow(struct redis_ahead *ahead)
{
    size_t capacity = ahead->capacity ? ahead->capacity * 2 : RING_FIRST;
    struct redis_fetched *ring = calloc(capacity, sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    for (size_t i = 0; i < ahead->count; i++)
        ring[i] = *place(ahead, i);
    free(ahead->ring);
    ahead->ring = ring;
    ahead->capacity = capacity;
    ahead->first = 0;
    return 0;
}

int redis_ahead_insert(struct redis_ahead *ahead, const struct redis_fetched *fetched)
{
    size_t at = ahead->count;
    if (ahead->count == ahead->capacity && grow(ahead) < 0)
        return -ENOMEM;
    while (at > 0 && redis_command_compare_ids(place(ahead, at - 1)->id, fetched->id) > 0)
        at--;
    if (at > 0 && redis_command_compare_ids(place(ahead, at - 1)->id, fetched->id) == 0) {
        event_release(place(ahead, at - 1)->event);
        *place(ahead, at - 1) = *fetched;
        return 0;
    }
    for (size_t i = ahead->count; i > at; i--)
        *place(ahead, i) = *place(ahead, i - 1);
    *place(ahead, at) = *fetched;
    ahead->count++;
    return 0;
}

int redis_ahead_put_first(struct redis_ahead *ahead, const struct redis_fetched *fetched)
{
    if (ahead->count == ahead->capacity && grow(ahead) < 0)
        return -ENOMEM;
    ahead->first = (ahead->first - 1) & (ahead->capacity - 1);
    ahead->count++;
    *place(ahead, 0) = *fetched;
    return 0;
}

struct redis_fetched *redis_ahead_at(const struct redis_ahead *ahead, size_t index)
{
    return index < ahead->count ? place(ahead, index) : NULL;
}

struct redis_fetched redis_ahead_take(struct redis_ahead *ahead)
{
    struct redis_fetched fetched = *place(ahead, 0);
    ahead->first = (ahead->first + 1) & (ahead->capacity - 1);
    ahead->count--;
    return fetched;
}

void redis_ahead_remove(struct redis_ahead *ahead, struct delivery_id id)
{
    size_t at = 0;
    while (at < ahead->count && redis_command_compare_ids(place(ahead, at)->id, id) < 0)
        at++;
    if (at == ahead->count || redis_command_compare_ids(place(ahead, at)->id, id) != 0)
        return;
    event_release(place(ahead, at)->event);
    for (; at + 1 < ahead->count; at++)
        *place(ahead, at) = *place(ahead, at + 1);
    ahead->count--;
}

void redis_ahead_clear(struct redis_ahead *ahead)
{
    while (ahead->count > 0)
        event_release(redis_ahead_take(ahead).event);
}

void redis_ahead_free(struct redis_ahead *ahead)
{
    redis_ahead_clear(ahead);
    free(ahead->ring);
    *ahead = (struct redis_ahead){0};
}
