// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/status_view.h"

#include "common/json_text.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/station.h"

/* A worker is there that takes its calls. */
static bool is_running(const struct object *o)
{
    return worker_get(o->station->workers, o->worker) != NULL;
}

void view_object_status(struct object *o, struct exchange *x)
{
    struct buf json = BUF_INIT;
    buf_puts(&json, "{\"status\":\"ok\"");
    json_put_member(&json, "object_id", o->id);
    json_put_key(&json, "running");
    buf_puts(&json, is_running(o) ? "true" : "false");
    json_put_member(&json, "phase", object_phase_name(o->phase));
    if (o->load_error)
        json_put_member(&json, "load_error", o->load_error);
    if (o->phase == OBJECT_BACKOFF) {
        json_put_key(&json, "backoff");
        outage_put(&json, &o->outage);
    }
    json_put_key(&json, "schedules");
    buf_puts(&json, "[]}");
    json_reply(x, 200, &json);
}
