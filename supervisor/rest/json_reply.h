// SPDX-License-Identifier: Apache-2.0
/*
 * json_reply - answers an exchange with the JSON text in a buf.
 */
#ifndef SUPERVISOR_REST_JSON_REPLY_H
#define SUPERVISOR_REST_JSON_REPLY_H

#include "supervisor/http/exchange.h"

#define JSON_CONTENT_TYPE "application/json; charset=utf-8"

/* Takes the text over; 503 when building it ran out of memory. */
void json_reply(struct exchange *x, unsigned status, struct buf *json);

#endif
