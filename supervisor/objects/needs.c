// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/needs.h"

#include "common/log.h"
#include "supervisor/objects/candidate.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/renew.h"
#include "supervisor/objects/slots.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

/* Of an object that was held, or blocked, once. */
struct needs {
    struct object *object;
    struct worker_ref held;    /* its candidate, while it waits */
    struct loop_timer check;   /* something may have come about */
    struct loop_timer limit;   /* it has waited long enough */
    char *blocked_by;          /* the id of what made its last start fail */
    struct needs *prev, *next; /* of those that are blocked */
};

static struct needs *blocked;

/* --- what depends on what --- */

static struct object *existing(struct station *station, const char *id)
{
    struct object *o = object_find(station->objects, id, strlen(id));
    return o && o->phase != OBJECT_GONE ? o : NULL;
}

/* Of a candidate that has loaded, else of what serves or has served. */
static const struct depends *list_of(const struct object *o)
{
    const struct worker *w = worker_get(o->station->workers, o->candidate);
    bool has_loaded = w && (w->state == WORKER_READY || w->state == WORKER_BUSY);
    return has_loaded ? &o->next_endpoint.depends : &o->endpoint.depends;
}

static const struct depends *list_of_id(void *arg, const char *id)
{
    const struct object *o = existing(arg, id);
    return o ? list_of(o) : NULL;
}

/* --- waiting --- */

static struct needs *needs_of(struct object *o)
{
    if (!o->needs)
        o->needs = calloc(1, sizeof(*o->needs));
    if (o->needs)
        o->needs->object = o;
    return o->needs;
}

static bool is_held(const struct needs *n)
{
    const struct worker *w = worker_get(n->object->station->workers, n->held);
    return w && worker_ref_is(n->object->candidate, w);
}

static void release(struct needs *n)
{
    n->held = (struct worker_ref){0};
    loop_timer_cancel(&n->limit);
}

static void unblock(struct needs *n)
{
    if (n->blocked_by)
        DL_DELETE(blocked, n);
    free(n->blocked_by);
    n->blocked_by = NULL;
}

/* The candidate cannot take over. by: what it depends on; NULL: a circle, or no memory. */
static void fail(struct object *o, const char *by)
{
    struct worker *w = worker_get(o->station->workers, o->candidate);
    struct needs *n = o->needs;
    if (n) {
        release(n);
        unblock(n);
        n->blocked_by = by ? strdup(by) : NULL;
        if (n->blocked_by)
            DL_APPEND(blocked, n);
    }
    if (w)
        worker_kill(w, WORKER_BLAME_UNWANTED);
    lifecycle_event(o, OBJECT_EV_CANDIDATE_FAILED);
}

static void fail_missing(struct object *o, const char *id)
{
    load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK,
                    "it depends on %s, and there is no such object; it is tried again when that "
                    "appears",
                    id);
    fail(o, id);
}

static void fail_with(struct object *o, const struct object *need)
{
    load_error_note(o, need->load_line, LOAD_ERROR_NO_TRACEBACK,
                    "it depends on %s, which does not load: %s", need->id, need->load_error);
    o->load_line = 0; /* not a line of this object's */
    fail(o, need->id);
}

static void on_check(void *arg);

/* For waiters: whatever happened, it is looked at from the loop, or a chain of objects would be a
 * chain of function calls. */
static void on_need(void *arg)
{
    struct object *o = arg;
    if (o->needs)
        loop_timer_set(o->station->loop, &o->needs->check, 0, on_check, o->needs);
}

enum outcome { UP, WAITS, FAILED };

static enum outcome look_at(struct object *o, const char *id)
{
    struct object *need = existing(o->station, id);
    if (!need) {
        fail_missing(o, id);
        return FAILED;
    }
    slots_lend(need); /* beyond the reserve it waits, until `limit` ends that */
    lifecycle_demand(need);
    if (need->phase == OBJECT_SERVING || need->phase == OBJECT_DEPLOYING)
        return UP;
    if (need->phase == OBJECT_BACKOFF && need->load_error) {
        fail_with(o, need);
        return FAILED;
    }
    if (waiters_add(&need->waiters, on_need, o) < 0) {
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "no memory to wait for %s", id);
        fail(o, NULL);
        return FAILED;
    }
    return WAITS;
}

/* All are started; one that is not up is waited for. */
static enum outcome look(struct object *o)
{
    const struct depends *list = &o->next_endpoint.depends;
    enum outcome outcome = UP;
    for (const char *id = depends_next(list, NULL); id && outcome == UP;
         id = depends_next(list, id))
        outcome = look_at(o, id);
    return outcome;
}

static void on_check(void *arg)
{
    struct needs *n = arg;
    struct object *o = n->object;
    if (is_held(n)) {
        if (look(o) != UP)
            return;
        release(n);
        candidate_complete(o);
    } else if (n->blocked_by) {
        unblock(n);
        if (o->phase == OBJECT_COLD && history_is_rejected(&o->history))
            o->reload = OBJECT_RELOAD_FILE; /* its next start tries it */
        else
            renew_object(o, NULL, NULL);
    }
}

/* Whom it waits for in vain; NULL: it is there just now. */
static const char *missed_one(const struct object *o)
{
    const struct depends *list = &o->next_endpoint.depends;
    const char *id = depends_next(list, NULL);
    for (; id; id = depends_next(list, id)) {
        const struct object *need = existing(o->station, id);
        if (!need || (need->phase != OBJECT_SERVING && need->phase != OBJECT_DEPLOYING))
            break;
    }
    return id;
}

static void on_limit(void *arg)
{
    struct needs *n = arg;
    struct object *o = n->object;
    if (!is_held(n))
        return;
    const char *id = missed_one(o);
    const struct object *need = id ? existing(o->station, id) : NULL;
    const char *limit = need ? slots_limit(need) : NULL;
    load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK,
                    "it depends on %s, which has not started within workers.start_timeout (%.3g "
                    "s)%s%s%s",
                    id ? id : "?", (double)o->station->config.start_timeout_ns / 1e9,
                    limit ? ": no other object is idle (" : "", limit ? limit : "",
                    limit ? ")" : "");
    fail(o, id);
}

/* --- for lifecycle --- */

static void demand(struct object *o, const struct depends *order)
{
    for (const char *id = depends_next(order, NULL); id; id = depends_next(order, id)) {
        struct object *need = existing(o->station, id);
        if (need && need != o)
            lifecycle_demand(need);
    }
}

void needs_start(struct object *o)
{
    struct depends order = {0};
    struct buf cycle = BUF_INIT;
    if (o->endpoint.depends.count &&
        depends_order(o->id, list_of_id, o->station, &order, &cycle) == 0)
        demand(o, &order);
    depends_free(&order);
    buf_free(&cycle);
}

/* A circle is the fault of whoever closes it. */
static bool is_circular(struct object *o)
{
    struct depends order = {0};
    struct buf cycle = BUF_INIT;
    int err = depends_order(o->id, list_of_id, o->station, &order, &cycle);
    if (err == -ELOOP)
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK,
                        "__endpoint__[\"depends\"] makes a circle: %s", buf_str(&cycle));
    else if (err)
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "no memory for what it depends on");
    else
        demand(o, &order);
    depends_free(&order);
    buf_free(&cycle);
    return err != 0;
}

bool needs_hold(struct object *o)
{
    struct needs *n = o->next_endpoint.depends.count ? needs_of(o) : o->needs;
    if (n)
        unblock(n);
    if (o->next_endpoint.depends.count == 0)
        return false;
    if (!n)
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "no memory for what it depends on");
    if (!n || is_circular(o)) {
        fail(o, NULL);
        return true;
    }
    n->held = o->candidate;
    switch (look(o)) {
    case UP:
        release(n);
        return false;
    case WAITS:
        loop_timer_set(o->station->loop, &n->limit, o->station->config.start_timeout_ns, on_limit,
                       n);
        return true;
    default:
        return true;
    }
}

/* --- who is kept --- */

struct search {
    const struct object *object;
    bool leaving; /* only users that are about to end */
    void (*found)(const struct object *user, void *arg);
    void *arg;
};

static bool is_leaving(const struct object *user)
{
    return user->phase == OBJECT_GONE || loop_timer_armed(&user->removal_timer);
}

static void search_worker(struct worker *w, void *arg)
{
    const struct search *s = arg;
    const struct object *user = w->object;
    bool is_candidate = worker_ref_is(user->candidate, w);
    const struct endpoint *e = is_candidate ? &user->next_endpoint : &user->endpoint;
    if (depends_has(&e->depends, s->object->id) && (!s->leaving || is_leaving(user)))
        s->found(user, s->arg);
}

static void search(const struct object *o, struct search *s)
{
    s->object = o;
    worker_each(o->station->workers, search_worker, s);
}

static void note_found(const struct object *user, void *arg)
{
    (void)user;
    *(bool *)arg = true;
}

static bool is_found(const struct object *o, bool leaving)
{
    bool found = false;
    search(o, &(struct search){.leaving = leaving, .found = note_found, .arg = &found});
    return found;
}

bool needs_keep(const struct object *o)
{
    return is_found(o, false);
}

bool needs_outlive(const struct object *o)
{
    return is_found(o, true);
}

/* --- who is told --- */

void needs_changed(struct object *o)
{
    struct needs *n;
    DL_FOREACH (blocked, n)
        if (strcmp(n->blocked_by, o->id) == 0)
            loop_timer_set(o->station->loop, &n->check, 0, on_check, n);
}

const char *needs_blocked_by(const struct object *o)
{
    return o->needs ? o->needs->blocked_by : NULL;
}

void needs_free(struct object *o)
{
    struct needs *n = o->needs;
    if (!n)
        return;
    loop_timer_cancel(&n->check);
    release(n);
    unblock(n);
    free(n);
    o->needs = NULL;
}

/* --- shown --- */

json_t *needs_json(const struct object *o)
{
    json_t *list = json_array();
    const struct depends *depends = list_of(o);
    for (const char *id = depends_next(depends, NULL); id; id = depends_next(depends, id)) {
        const struct object *need = existing(o->station, id);
        json_array_append_new(list, json_pack("{s:s, s:s}", "object_id", id, "phase",
                                              need ? object_phase_name(need->phase) : "missing"));
    }
    return list;
}

static void add_user(const struct object *user, void *list)
{
    size_t i;
    json_t *id;
    json_array_foreach(list, i, id)
    {
        if (strcmp(json_string_value(id), user->id) == 0)
            return;
    }
    json_array_append_new(list, json_string(user->id));
}

json_t *needs_users_json(const struct object *o)
{
    json_t *list = json_array();
    search(o, &(struct search){.found = add_user, .arg = list});
    return list;
}
