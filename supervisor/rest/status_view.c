// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/status_view.h"

#include "common/json_text.h"
#include "supervisor/objects/needs.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/station.h"

#include <stdlib.h>

/* A worker is there that takes its calls. */
static bool is_running(const struct object *o)
{
    return worker_get(o->station->workers, o->worker) != NULL;
}

/* What it depends on, also while it waits for that. */
static void put_needs(struct buf *json, const struct object *o)
{
    json_t *list = needs_json(o);
    char *text = json_array_size(list) ? json_dumps(list, JSON_COMPACT) : NULL;
    if (text) {
        json_put_key(json, "dependencies");
        buf_puts(json, text);
    }
    if (needs_blocked_by(o))
        json_put_member(json, "blocked_by", needs_blocked_by(o));
    free(text);
    json_decref(list);
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
    put_needs(&json, o);
    json_put_key(&json, "schedules");
    buf_puts(&json, "[]}");
    json_reply(x, 200, &json);
}
