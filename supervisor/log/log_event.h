// SPDX-License-Identifier: Apache-2.0
/*
 * log_event - a line of a log as a server-sent event, and the notices between them. Pure.
 */
#ifndef SUPERVISOR_LOG_LOG_EVENT_H
#define SUPERVISOR_LOG_LOG_EVENT_H

#include "common/codec.h"

/*
 * "id: <us>", "data: <json>" and an empty line. us is the line's time in microseconds, from which a
 * reader that comes back goes on (Last-Event-ID); 0: it has none. json is one JSON text.
 */
void log_event_put(struct buf *out, uint64_t us, struct span json);
/* "event: <name>" with that data. */
void log_event_notice(struct buf *out, const char *name, const char *json_format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
