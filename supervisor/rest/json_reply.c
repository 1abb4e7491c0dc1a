// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/json_reply.h"

void json_reply(struct exchange *x, unsigned status, struct buf *json)
{
    struct exchange_reply reply = {.status = status, .content_type = JSON_CONTENT_TYPE};
    reply.body = buf_take(json, &reply.body_size);
    if (reply.body)
        exchange_reply(x, &reply);
    else
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for the answer");
}
