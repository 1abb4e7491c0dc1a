// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/object_views.h"

#include "common/json_text.h"
#include "supervisor/log/object_log.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/rest/crash_view.h"
#include "supervisor/rest/deploy_view.h"
#include "supervisor/rest/document_error.h"
#include "supervisor/rest/file_view.h"
#include "supervisor/rest/json_reply.h"
#include "supervisor/rest/log_view.h"
#include "supervisor/rest/management.h"
#include "supervisor/rest/metadata.h"
#include "supervisor/rest/no_worker.h"
#include "supervisor/rest/query.h"
#include "supervisor/rest/restart_view.h"
#include "supervisor/rest/status_view.h"
#include "supervisor/rest/version_view.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/test_run.h"
#include "supervisor/turn/turn.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Opens {"status":"ok","object_id":"…" */
static void put_head(struct buf *json, const struct object *o)
{
    buf_puts(json, "{\"status\":\"ok\"");
    json_put_member(json, "object_id", o->id);
}

/* --- source --- */

static void view_source(struct object *o, struct exchange *x)
{
    const struct config *c = &o->station->config;
    int err = 0;
    struct source *s = o->accepted ? source_ref(o->accepted)
                                   : source_read(c->objects_dir, o->file, c->source_max, &err);
    if (!s) {
        exchange_error(x, 500, NULL, "%s cannot be read: %s", o->file, strerror(-err));
        return;
    }
    struct buf json = BUF_INIT;
    put_head(&json, o);
    json_put_key(&json, "source");
    json_put_string(&json, s->text, s->len);
    buf_putc(&json, '}');
    source_unref(s);
    json_reply(x, 200, &json);
}

/* --- tests --- */

static void view_test(struct object *o, struct exchange *x)
{
    test_run_start(o->station->turns, o, x);
}

/* --- metadata --- */

struct pending {
    struct object *object;
    struct exchange *exchange;
};

static struct pending *pending_new(struct object *o, struct exchange *x)
{
    struct pending *p = malloc(sizeof(*p));
    if (p)
        *p = (struct pending){o, x};
    else
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another request");
    return p;
}

static void send_metadata(void *arg, int err, uint64_t log_lines)
{
    struct pending *p = arg;
    struct buf json = BUF_INIT;
    put_head(&json, p->object);
    json_put_key(&json, "metadata");
    if (metadata_put(p->object, err ? -1 : (int64_t)log_lines, &json) == 0) {
        buf_putc(&json, '}');
        json_reply(p->exchange, 200, &json);
    } else {
        buf_free(&json);
        exchange_error(p->exchange, 503, "\"limit\":\"memory\"", "no memory for the metadata");
    }
    free(p);
}

static void count_log(void *arg)
{
    struct pending *p = arg;
    bool is_known = p->object->endpoint.metadata;
    if (!is_known && no_worker_answer(p->exchange, p->object))
        free(p);
    else if (object_log_count(p->object->log, send_metadata, p) < 0)
        send_metadata(p, -ENOMEM, 0);
}

static void view_metadata(struct object *o, struct exchange *x)
{
    bool is_start = !o->endpoint.metadata;
    if (exchange_request(x)->is_inside && is_start && !turn_lend_slot(o, x))
        return;
    struct pending *p = pending_new(o, x);
    if (p && lifecycle_when_loaded(o, count_log, p) < 0) {
        free(p);
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another request");
    }
}

/* --- state: built by the scribe, shown once everything in it is durable --- */

struct state_view {
    struct object *object;
    struct exchange *exchange;
    uint64_t seq;
    int fd;
    uint64_t size;
};

static void send_state(void *arg)
{
    struct state_view *v = arg;
    struct exchange_reply reply = {
        .status = 200, .content_type = JSON_CONTENT_TYPE, .body_fd = v->fd, .body_size = v->size};
    exchange_reply(v->exchange, &reply);
    free(v);
}

static void state_built(void *arg, int err, int fd, uint64_t size)
{
    struct state_view *v = arg;
    if (err) {
        if (err == -ENOENT)
            exchange_error(v->exchange, 404, NULL, "%s has no such key", v->object->id);
        else
            document_error(v->exchange, v->object, "the state of", err);
        free(v);
        return;
    }
    v->fd = fd;
    v->size = size;
    struct turns *turns = v->object->station->turns;
    if (turn_when_durable(turns, v->seq, send_state, v) < 0) {
        exchange_error(v->exchange, 503, "\"limit\":\"memory\"", "no memory for another request");
        close(fd);
        free(v);
    }
}

static void dump_state(struct state_view *v, const struct span *key)
{
    struct object *o = v->object;
    struct buf prefix = BUF_INIT;
    put_head(&prefix, o);
    if (key) {
        json_put_key(&prefix, "key");
        json_put_string(&prefix, key->data, key->len);
    }
    json_put_key(&prefix, key ? "value" : "state");
    store_dump(o->station->store, o->state, key, buf_str(&prefix), "}", state_built, v);
    buf_free(&prefix);
}

static void view_state(struct object *o, struct exchange *x)
{
    struct state_view *v = calloc(1, sizeof(*v));
    struct buf key = BUF_INIT;
    if (!v) {
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another request");
        return;
    }
    *v = (struct state_view){.object = o, .exchange = x, .seq = store_newest(o->state)};
    int found = query_once(exchange_request(x)->query, "key", &key);
    if (found < 0) {
        exchange_error(x, 400, NULL, "key is given twice");
        free(v);
    } else {
        dump_state(v, found ? &(struct span){buf_str(&key), key.len} : NULL);
    }
    buf_free(&key);
}

/* --- which parameters are reserved --- */

struct reserved {
    const char *name;
    const char *value;  /* NULL: any */
    const char *method; /* NULL: any */
    bool management;
    void (*view)(struct object *o, struct exchange *x); /* NULL: not in this version */
};

static const struct reserved reserved[] = {
    {"source", "true", "GET", true, view_source},
    {"code", "true", "GET", true, view_source},
    {"metadata", "true", "GET", false, view_metadata},
    {"state", "true", "GET", true, view_state},
    {"logs", "true", "GET", true, view_logs},
    {"source", "true", "PUT", true, view_deploy},
    {"restart", "true", "POST", true, view_restart},
    {"versions", "true", "GET", true, view_versions},
    {"version", NULL, "GET", true, view_version},
    {"status", "true", "GET", false, view_object_status},
    {"test", "true", "GET", true, view_test},
    {"files", "true", "GET", true, view_files},
    {"file", NULL, "GET", true, view_file},
    {"file", NULL, "DELETE", true, view_file_delete},
    {"crashes", "true", "GET", true, view_crashes},
    {"crash", NULL, "GET", true, view_crash},
};

static const struct reserved *reserved_of(struct span name, struct span value, struct span method)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        const struct reserved *r = &reserved[i];
        bool method_fits = !r->method || span_equal(method, r->method) ||
                           (strcmp(r->method, "GET") == 0 && span_equal(method, "HEAD"));
        if (method_fits && span_equal(name, r->name) && (!r->value || span_equal(value, r->value)))
            return r;
    }
    return NULL;
}

static const struct reserved *reserved_in(const struct exchange *x)
{
    struct query q = query_of(exchange_request(x)->query);
    const struct reserved *found = NULL;
    while (!found && query_next(&q))
        found =
            reserved_of((struct span){buf_str(&q.name), q.name.len},
                        (struct span){buf_str(&q.value), q.value.len}, exchange_request(x)->method);
    query_free(&q);
    return found;
}

bool object_views_reserved(const struct exchange *x)
{
    return exchange_request(x)->query.len && reserved_in(x);
}

bool object_views_serve(struct object *o, struct exchange *x)
{
    const struct reserved *r = reserved_in(x);
    if (!r)
        return false;
    if (!r->view)
        exchange_error(x, 501, NULL, "?%s is reserved, and not served by this version", r->name);
    else if (!r->management || management_allowed(o->station, x))
        r->view(o, x);
    return true;
}
