// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/metadata.h"

#include "common/clock.h"
#include "supervisor/objects/needs.h"
#include "supervisor/objects/slots.h"
#include "supervisor/process/limits.h"
#include "supervisor/process/memory.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

static json_t *throttled_json(const struct worker *w)
{
    struct buf text = BUF_INIT;
    if (w)
        throttle_put(w, &text);
    json_t *json = json_loads(buf_str(&text), JSON_DECODE_ANY, NULL);
    buf_free(&text);
    return json ? json : json_null();
}

static json_t *worker_json(const struct object *o)
{
    struct worker *w = worker_get(o->station->workers, o->worker);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "state",
                     w ? worker_state_name(w->state) : "none", "phase", object_phase_name(o->phase),
                     "pid", (json_int_t)(w ? w->pid : 0), "generation",
                     (json_int_t)(w ? w->ref.generation : 0), "restarts", (json_int_t)o->restarts,
                     "turns", (json_int_t)o->turns, "errors", (json_int_t)o->errors, "rss_bytes",
                     (json_int_t)(w ? memory_rss_bytes(w->pid) : 0), "memory_kills",
                     (json_int_t)o->memory_kills, "throttled", throttled_json(w));
}

/* Each worker that serves: the owner first. */
static json_t *workers_json(const struct object *o)
{
    json_t *list = json_array();
    for (size_t i = 0; i <= o->replicas.count; i++) {
        const struct worker *w = replicas_worker(o, i);
        if (w)
            json_array_append_new(
                list,
                json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "role",
                          i ? "replica" : "owner", "state", worker_state_name(w->state), "pid",
                          (json_int_t)w->pid, "generation", (json_int_t)w->ref.generation, "turns",
                          (json_int_t)w->turns, "inflight", (json_int_t)w->inflight.count,
                          "rss_bytes", (json_int_t)memory_rss_bytes(w->pid), "throttled",
                          throttled_json(w)));
    }
    return list;
}

static json_t *limits_json(const struct object *o)
{
    const struct worker *w = worker_get(o->station->workers, o->worker);
    struct buf text = BUF_INIT;
    if (w)
        limits_put(w, &text);
    json_t *limits = json_loads(buf_str(&text), 0, NULL);
    buf_free(&text);
    return limits ? limits : json_null();
}

static void set_default(json_t *m, const char *key, const char *value)
{
    if (!json_object_get(m, key))
        json_object_set_new(m, key, json_string(value));
}

static void set_declared(json_t *m, const struct object *o)
{
    json_t *ready =
        o->endpoint.metadata ? json_loads(o->endpoint.metadata, JSON_ALLOW_NUL, NULL) : NULL;
    json_object_update(m, json_object_get(ready, "endpoint"));
    json_object_set(m, "methods", json_object_get(ready, "methods"));
    json_decref(ready);
    set_default(m, "name", o->id);
    set_default(m, "version", "0.0.0");
    set_default(m, "description", "");
    set_default(m, "author", "unknown");
}

static json_t *backoff_json(const struct object *o)
{
    struct buf text = BUF_INIT;
    outage_put(&text, o->outage);
    json_t *json = json_loads(buf_str(&text), 0, NULL);
    buf_free(&text);
    return json;
}

/* The members that `put` adds to a status. */
static void set_members(json_t *m, const struct object *o,
                        void (*put)(const struct object *o, struct buf *json))
{
    struct buf text = BUF_INIT;
    buf_putc(&text, '{');
    put(o, &text);
    buf_putc(&text, '}');
    json_t *members = json_loads(buf_str(&text), 0, NULL);
    json_object_update(m, members);
    json_decref(members);
    buf_free(&text);
}

static void set_known(json_t *m, const struct object *o)
{
    json_object_set_new(m, "object_id", json_string(o->id));
    json_object_set_new(m, "source_path",
                        json_sprintf("%s/%s", o->station->config.objects_dir, o->file));
    json_object_set_new(m, "source_version", json_integer((json_int_t)o->version));
    json_object_set_new(m, "version_count", json_integer((json_int_t)o->history.newest));
    json_object_set_new(m, "state_keys",
                        json_integer((json_int_t)store_key_estimate(o->station->store, o->state)));
    json_t *worker = worker_json(o);
    json_object_set_new(worker, "all", workers_json(o));
    json_object_set_new(worker, "limits", limits_json(o));
    json_object_set_new(m, "worker", worker);
    if (o->endpoint.depends.count)
        json_object_set_new(m, "dependencies", needs_json(o));
    json_object_set_new(m, "needed_by", needs_users_json(o));
    json_object_set_new(m, "owner", json_string(o->station->config.station_id));
    set_members(m, o, slots_put);
    set_members(m, o, probation_put);
    if (o->phase == OBJECT_BACKOFF)
        json_object_set_new(m, "backoff", backoff_json(o));
    if (o->load_error)
        json_object_set_new(m, "load_error", json_string(o->load_error));
    if (o->conflict)
        json_object_set_new(m, "conflict", json_string(o->conflict));
}

int metadata_put(const struct object *o, int64_t log_count, struct buf *json)
{
    json_t *m = json_object();
    set_declared(m, o);
    set_known(m, o);
    json_object_set_new(m, "log_count", log_count < 0 ? json_null() : json_integer(log_count));
    char *text = m ? json_dumps(m, JSON_COMPACT) : NULL;
    json_decref(m);
    if (!text)
        return -ENOMEM;
    buf_puts(json, text);
    free(text);
    return 0;
}
