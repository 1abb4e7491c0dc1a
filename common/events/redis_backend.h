// SPDX-License-Identifier: Apache-2.0
/*
 * redis_backend - events in a Redis stream (6 or 7), shared by a consumer group.
 *
 * An entry has one field `event` with the JSON of event_json.h. What was delivered and not
 * acknowledged within claim_min_idle_ns belongs to whoever claims it; after max_retries deliveries
 * it goes to the dead letters instead (fields original_id, event, reason, failed_at). Entries that
 * hold no event go there at once. Emitted events and the acknowledgement are one MULTI/EXEC. Groups
 * and streams that vanish are made again. Connections are made on first use and again after a loss,
 * with exponential backoff; what was sent and not answered is sent again only where that cannot
 * count twice, or is known to be needed. The password is in no message.
 */
#ifndef COMMON_EVENTS_REDIS_BACKEND_H
#define COMMON_EVENTS_REDIS_BACKEND_H

#include "common/events/backend.h"

struct redis_settings {
    const char *
        url; /* redis://[[user]:password@]host[:port][/db], unix://path, rediss:// where built in */
    const char *stream, *group, *consumer, *dead_letters;
    uint32_t max_retries;
    uint64_t claim_min_idle_ns;
    uint64_t timeout_ns; /* the patience of a call without a deadline */
    size_t read_ahead;   /* deliveries fetched before they are asked for */
};

/* Copies the settings. NULL: they are wrong, or memory is short; `error` then says which. */
struct backend *redis_backend_open(const struct redis_settings *settings, char *error, size_t size);

/* Deletes a stream with its groups (NULL: that of the settings; copied); no error when there is none.
 * As any operation of backend.h. */
int redis_backend_delete(struct backend *b, const char *stream, struct backend_call *call);

#endif
