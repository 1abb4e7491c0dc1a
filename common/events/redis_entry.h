// SPDX-License-Identifier: Apache-2.0
/*
 * redis_entry - the entries of a stream: how an event is added as one, and what one is read as.
 *
 * What is borrowed belongs to the reply.
 */
#ifndef COMMON_EVENTS_REDIS_ENTRY_H
#define COMMON_EVENTS_REDIS_ENTRY_H

#include <hiredis/hiredis.h>

#include "common/events/backend.h"

/* XADD stream * event {…}; `scratch` holds the JSON in between. What event_json_write() says. */
int redis_entry_put_event(struct buf *out, const char *stream, struct event *event,
                          struct buf *scratch);
/* XADD stream * original_id … event … reason … failed_at …, the time being now. */
void redis_entry_put_dead(struct buf *out, const char *stream, struct delivery_id id,
                          struct span event, const char *reason);

struct redis_entry {
    struct delivery_id id;
    const redisReply *fields; /* names and values in turn; NULL: the entry was deleted */
};

/* The entries of an XREADGROUP of one stream; NULL when there are none. */
const redisReply *redis_entry_list(const redisReply *reply);
/* False: this is no entry (a nil stands for a deleted one). */
bool redis_entry_of(const redisReply *element, struct redis_entry *entry);
/* One reference, and the bytes of the entry; NULL with the reason in words why it holds no event.
 * -ENOMEM in *error when only memory was short. */
struct event *redis_entry_event(const struct redis_entry *entry, size_t *bytes, const char **reason,
                                int *error);
/* What the dead letter shall show: the field `event`, or all fields as a JSON object. */
void redis_entry_text(const struct redis_entry *entry, struct buf *out);

#endif
