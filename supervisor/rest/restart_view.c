// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/restart_view.h"

#include "common/json_text.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/renew.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/rest/no_worker.h"
#include "supervisor/station.h"

#include <stdlib.h>

struct restart {
    struct object *object;
    struct exchange *exchange;
    struct worker_ref before;
};

static void answer_failed(const struct object *o, struct exchange *x)
{
    struct buf extra = BUF_INIT;
    load_error_put(&extra, o, o->load_line, o->load_crash_id, LOAD_ERROR_NO_TRACEBACK);
    if (o->phase == OBJECT_GONE)
        exchange_error(x, 404, buf_str(&extra), "object %s is gone", o->id);
    else
        exchange_error(x, 422, buf_str(&extra), "%s does not load%s: %s", o->file,
                       worker_ref_set(o->worker) ? ", its worker goes on" : "",
                       o->load_error ? o->load_error : "no reason known");
    buf_free(&extra);
}

static void answer_restarted(const struct object *o, const struct worker *w, struct exchange *x)
{
    struct buf json = BUF_INIT, message = BUF_INIT;
    buf_puts(&message, "restarted");
    if (o->load_error)
        buf_printf(&message, "; %s does not load, an older version serves: %s", o->file,
                   o->load_error);
    buf_puts(&json, "{\"status\":\"ok\"");
    json_put_member(&json, "message", buf_str(&message));
    json_put_member(&json, "object_id", o->id);
    if (o->load_error)
        json_put_member(&json, "load_error", o->load_error);
    json_put_number(&json, "generation", w->ref.generation);
    buf_putc(&json, '}');
    json_reply(x, 200, &json);
    buf_free(&message);
}

static void on_started(void *arg)
{
    struct restart *r = arg;
    const struct object *o = r->object;
    const struct worker *w = worker_get(o->station->workers, o->worker);
    if (w && w->ref.generation != r->before.generation)
        answer_restarted(o, w, r->exchange);
    else if (!no_worker_answer(r->exchange, o))
        answer_failed(o, r->exchange);
    free(r);
}

static void refuse(struct exchange *x)
{
    exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another request");
}

static void on_renewed(void *arg)
{
    struct restart *r = arg;
    struct exchange *x = r->exchange;
    if (lifecycle_when_started(r->object, on_started, r) == 0)
        return;
    free(r);
    refuse(x);
}

void view_restart(struct object *o, struct exchange *x)
{
    struct restart *r = malloc(sizeof(*r));
    if (!r) {
        refuse(x);
        return;
    }
    *r = (struct restart){o, x, o->worker};
    if (renew_object(o, on_renewed, r) < 0) {
        free(r);
        refuse(x);
    }
}
