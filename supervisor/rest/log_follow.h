// SPDX-License-Identifier: Apache-2.0
/*
 * log_follow - GET ?logs=true&follow=true: the newest lines, then each new one as it is logged, as
 * server-sent events, until the client goes, the object goes or the station stops.
 *
 * The old lines come from the scribe, which reads up to the place at which the follower began to
 * watch the log: no line is lost or doubled between them. What a slow reader does not take waits in
 * at most log.follow_buffer_max bytes; lines beyond are skipped, and an event says how many. The
 * events: without a name, `data` one line as in ?logs=true, `id` its time; `skipped`; `incomplete`
 * (the search for old lines reached a limit); `end`, with a reason; `error`. A comment is sent when
 * there was nothing to send for log.follow_heartbeat. A reader that comes back says with
 * Last-Event-ID where it was. Loop thread only.
 */
#ifndef SUPERVISOR_REST_LOG_FOLLOW_H
#define SUPERVISOR_REST_LOG_FOLLOW_H

#include "supervisor/http/exchange.h"
#include "supervisor/rest/log_params.h"

struct object;

/* Answers the exchange; takes the fields out of *p. */
void log_follow(struct object *o, struct exchange *x, struct log_params *p);

#endif
