// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/router.h"

#include "supervisor/files/upload.h"
#include "supervisor/http/target.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/rest/deploy_view.h"
#include "supervisor/rest/early.h"
#include "supervisor/rest/management.h"
#include "supervisor/rest/missing.h"
#include "supervisor/rest/no_worker.h"
#include "supervisor/rest/object_views.h"
#include "supervisor/rest/objects_view.h"
#include "supervisor/rest/reload_view.h"
#include "supervisor/rest/station_views.h"
#include "supervisor/station.h"
#include "supervisor/turn/turn.h"

#include <stdlib.h>

/* --- one object --- */

/* What the target names: "/objects/ID[@STATION][/rest]". */
struct object_target {
    char id[OBJECT_ID_MAX + 1];
    char station[OBJECT_ID_MAX + 1]; /* empty: not named */
    struct span name;                /* the raw part of the target up to the end of the id */
    bool valid;
};

static struct span object_segment(struct span target, size_t prefix)
{
    size_t end = prefix;
    while (end < target.len && target.data[end] != '/' && target.data[end] != '?')
        end++;
    return (struct span){target.data + prefix, end - prefix};
}

static struct object_target parse_target(struct span target, size_t prefix)
{
    struct object_target t = {0};
    struct span segment = object_segment(target, prefix);
    char text[2 * OBJECT_ID_MAX + 2];
    t.name = (struct span){target.data, prefix + segment.len};
    if (segment.len > sizeof(text))
        return t;
    size_t len = target_decode(segment, false, text);
    const char *at = memchr(text, '@', len);
    size_t id_len = at ? (size_t)(at - text) : len;
    size_t station_len = at ? len - id_len - 1 : 0;
    if (!object_id_valid(text, id_len) || station_len > OBJECT_ID_MAX)
        return t;
    memcpy(t.id, text, id_len);
    if (at)
        memcpy(t.station, at + 1, station_len);
    t.valid = !at || station_len > 0;
    return t;
}

/* The path behind the name, as it was sent. */
static struct span rest_of(struct span target, struct span name)
{
    size_t end = name.len;
    while (end < target.len && target.data[end] != '?')
        end++;
    return (struct span){target.data + name.len, end - name.len};
}

/* A call that waits until it is known whether the object wants its query raw. */
struct undecided {
    struct object *object;
    struct exchange *exchange;
    struct span name;
};

static void call_object(struct object *o, struct exchange *x, struct span name)
{
    const struct exchange_request *request = exchange_request(x);
    bool may_view = request->query.len && (request->is_inside || !o->endpoint.raw_query);
    if (may_view && object_views_serve(o, x))
        return;
    if (request->is_inside) { /* a call of a turn comes another way: turn/ask.c */
        exchange_error(x, 400, NULL, "there is nothing to see of %s under that name", o->id);
        return;
    }
    if (rest_of(request->target, name).len == 0 && deploy_view_rollback(o, x))
        return;
    struct call_origin origin = {.kind = RPC_CALL_HTTP, .path_skip = (uint32_t)name.len};
    turn_admit(o->station->turns, o, x, &origin);
}

static void decide(void *arg)
{
    struct undecided *u = arg;
    bool is_known = u->object->endpoint.metadata;
    if (is_known || !no_worker_answer(u->exchange, u->object))
        call_object(u->object, u->exchange, u->name);
    free(u);
}

static void serve_object(struct object *o, struct exchange *x, struct span name)
{
    bool is_inside = exchange_request(x)->is_inside;
    if (is_inside || o->endpoint.metadata || !object_views_reserved(x)) {
        call_object(o, x, name);
        return;
    }
    struct undecided *u = malloc(sizeof(*u));
    if (u)
        *u = (struct undecided){o, x, name};
    if (!u || lifecycle_when_loaded(o, decide, u) < 0) {
        free(u);
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another call");
    }
}

static void route_object(struct station *station, struct exchange *x, size_t prefix)
{
    struct object_target t = parse_target(exchange_request(x)->target, prefix);
    if (!t.valid) {
        exchange_error(x, 400, NULL,
                       "an object id is made of letters, digits, '_', '.' and '-', at most %d",
                       OBJECT_ID_MAX);
        return;
    }
    if (t.station[0] && strcmp(t.station, station->config.station_id) != 0) {
        exchange_error(x, 503, NULL, "station %s is not known", t.station);
        return;
    }
    struct object *o = object_find(station->objects, t.id, strlen(t.id));
    if (!o || o->phase == OBJECT_GONE) {
        if (!deploy_view_create(station, t.id, x))
            missing_object(station, x, t.id, rest_of(exchange_request(x)->target, t.name));
        return;
    }
    if (object_use(o) < 0)
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another object");
    else
        serve_object(o, x, t.name);
}

/* --- the station --- */

static const struct route {
    const char *path;
    void (*view)(struct station *station, struct exchange *x);
    bool management; /* obeys security.management */
    bool is_done;    /* POST; all others are only read */
    bool is_early;   /* answered before the objects are known */
} routes[] = {
    {"/", view_root, .is_early = true},
    {"/health", view_health, .is_early = true},
    {"/ready", view_ready, .is_early = true},
    {"/metrics", view_metrics, .is_early = true},
    {"/objects", view_objects, .is_early = false},
    {"/objects/", view_objects, .is_early = false},
    {"/status", view_status, .management = true, .is_early = true},
    {"/reload", view_reload, .management = true, .is_done = true},
};

static const struct route *route_of(struct span path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (span_equal(path, routes[i].path))
            return &routes[i];
    return NULL;
}

static bool is_reading(const struct exchange_request *request)
{
    return span_equal(request->method, "GET") || span_equal(request->method, "HEAD");
}

static bool method_fits(const struct route *route, const struct exchange_request *request)
{
    return route->is_done ? span_equal(request->method, "POST") : is_reading(request);
}

static void route_station(struct station *station, struct exchange *x)
{
    const struct exchange_request *request = exchange_request(x);
    const struct route *route = route_of(request->path);
    const char *methods = route && route->is_done ? "POST, OPTIONS" : "GET, HEAD, OPTIONS";
    struct exchange_field allow = {"Allow", methods};
    if (!route) {
        missing_route(station, x);
    } else if (span_equal(request->method, "OPTIONS")) {
        struct exchange_reply reply = {.status = 204, .fields = &allow, .field_count = 1};
        exchange_reply(x, &reply);
    } else if (!method_fits(route, request)) {
        exchange_error_method(x, allow.value,
                              route->is_done ? "this route takes POST" : "this route is only read");
    } else if (!route->management || management_allowed(station, x)) {
        route->view(station, x);
    }
}

static const char objects_prefix[] = "/objects/";

static bool is_object_path(struct span target, struct span path)
{
    size_t len = sizeof(objects_prefix) - 1;
    return target.len > len && memcmp(target.data, objects_prefix, len) == 0 && path.len > len;
}

void router_receive(struct exchange *x, void *arg)
{
    struct station *station = arg;
    struct span path = exchange_request(x)->path, target = exchange_request(x)->target;
    if (!is_object_path(target, path))
        return;
    struct object_target t = parse_target(target, sizeof(objects_prefix) - 1);
    bool is_here = !t.station[0] || strcmp(t.station, station->config.station_id) == 0;
    struct object *o =
        t.valid && is_here ? object_find(station->objects, t.id, strlen(t.id)) : NULL;
    if (o && o->phase != OBJECT_GONE)
        upload_begin(o, x);
}

static bool is_about_objects(struct span path)
{
    const struct route *route = route_of(path);
    return !route || !route->is_early;
}

void router_handle(struct exchange *x, void *arg)
{
    struct station *station = arg;
    struct span path = exchange_request(x)->path, target = exchange_request(x)->target;
    bool is_early = !station->ready && is_about_objects(path);
    if (is_early && station->stopping) /* nobody knows which objects there are */
        exchange_error(x, 503, NULL, "the station is stopping");
    else if (is_early)
        early_hold(x);
    else if (is_object_path(target, path))
        route_object(station, x, sizeof(objects_prefix) - 1);
    else
        route_station(station, x);
}
