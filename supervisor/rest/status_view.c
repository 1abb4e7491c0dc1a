// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/status_view.h"

#include "common/json_text.h"
#include "supervisor/objects/needs.h"
#include "supervisor/objects/probation.h"
#include "supervisor/objects/slots.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/schedules/schedules.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/turn.h"

#include <stdlib.h>

/* A worker is there that takes its calls. */
static bool is_running(const struct object *o)
{
    return worker_get(o->station->workers, o->worker) != NULL;
}

/* What it depends on, and what of that keeps it from starting. */
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

/* It shows schedules that a turn may have changed a moment ago. */
struct held_view {
    struct exchange *exchange;
    struct buf json;
};

static void send_held(void *arg)
{
    struct held_view *held = arg;
    json_reply(held->exchange, 200, &held->json);
    free(held);
}

static void send_when_durable(struct object *o, struct exchange *x, struct buf *json)
{
    struct held_view *held = malloc(sizeof(*held));
    if (held) {
        *held = (struct held_view){x, *json};
        uint64_t seq = o->state ? store_newest(o->state) : 0;
        if (turn_when_durable(o->station->turns, seq, send_held, held) == 0)
            return;
    }
    free(held);
    buf_free(json);
    exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for the status");
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
    slots_put(o, &json);
    probation_put_remark(o, &json);
    if (o->phase == OBJECT_BACKOFF) {
        json_put_key(&json, "backoff");
        outage_put(&json, o->outage);
    }
    put_needs(&json, o);
    json_put_key(&json, "schedules");
    schedules_put(o, &json);
    buf_putc(&json, '}');
    send_when_durable(o, x, &json);
}
