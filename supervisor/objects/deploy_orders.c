// SPDX-License-Identifier: Apache-2.0
/*
 * Sources that were asked for over HTTP: one at a time for an object, in the order in which they
 * came, and what becomes of each when its time has come.
 */
#include "supervisor/objects/deploy_private.h"

#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/saved.h"
#include "supervisor/objects/slots.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

int deploy_ask(struct object *o, const struct deploy_order *order)
{
    struct deploy *other;
    size_t count;
    LL_COUNT(o->orders, other, count);
    if (count >= o->station->config.deploys_object_max) {
        source_unref(order->source);
        return -EBUSY;
    }
    struct deploy *d = deploy_new(o, order->source, order->author, order->message);
    if (!d)
        return -ENOMEM;
    d->is_order = true;
    d->is_rollback = order->is_rollback;
    d->rejects = order->rejects;
    d->done = order->done;
    d->arg = order->arg;
    LL_APPEND(o->orders, d);
    deploy_next(o);
    return 0;
}

static void start(struct deploy *d)
{
    struct object *o = d->object;
    d->stage = DEPLOY_LOADING;
    o->deploy = d;
    lifecycle_event(o, OBJECT_EV_SOURCE);
}

/* A file that nobody has looked at yet is a writer too, and came first. */
static bool yields_to_file(struct deploy *d, struct source *file)
{
    struct object *o = d->object;
    const struct history *h = &o->history;
    bool is_known = (h->accepted && sha256_equal(file->hash, h->accepted_hash)) ||
                    history_rejects(h, file->hash) || sha256_equal(file->hash, d->source->hash);
    if (is_known || o->store_failed)
        return false;
    struct deploy *first = deploy_new(o, source_ref(file), "file", "");
    if (!first)
        return false;
    LL_PREPEND(o->orders, d);
    start(first);
    return true;
}

static bool serves_already(const struct deploy *d, const struct source *file)
{
    const struct object *o = d->object;
    const struct history *h = &o->history;
    return !d->is_rollback && o->phase != OBJECT_BACKOFF && h->accepted &&
           sha256_equal(d->source->hash, h->accepted_hash) &&
           sha256_equal(file->hash, h->accepted_hash);
}

/* Its version says what it takes the place of; the file stays as it is. */
static int prepare_rejecting(struct deploy *d)
{
    const struct history *h = &d->object->history;
    char hash[SHA256_TEXT_SIZE];
    if (h->accepted != d->rejects)
        return -ESTALE;
    d->failed = h->accepted_hash;
    sha256_text(d->failed, hash);
    free(d->reason);
    d->reason = NULL;
    if (asprintf(&d->reason, HISTORY_REJECTS "%s: %s", hash, d->message) < 0)
        return -ENOMEM;
    free(d->file);
    d->file = NULL;
    return 0;
}

static void begin_update(struct deploy *d)
{
    struct object *o = d->object;
    const struct config *c = &o->station->config;
    int err;
    d->file = strdup(o->file);
    struct source *file = source_read(c->objects_dir, o->file, c->source_max, &err);
    d->expect = file ? OBJECT_FILE_HASH : err == -ENOENT ? OBJECT_FILE_NONE : OBJECT_FILE_ANY;
    if (file)
        d->expected = file->hash;
    if (!d->file) {
        deploy_fail(d, -ENOMEM, NULL);
    } else if (d->rejects && prepare_rejecting(d) < 0) {
        deploy_fail(d, -ESTALE, "another version has come meanwhile");
    } else if (file && serves_already(d, file)) {
        d->version = o->history.accepted;
        deploy_finish(d, DEPLOY_UNCHANGED);
    } else if (!file || !yields_to_file(d, file)) {
        start(d);
    }
    source_unref(file);
}

/* The id of an object that is new, or whose file is gone: id.py, at the top. */
static void begin_create(struct deploy *d)
{
    struct object *o = d->object;
    char *file = NULL;
    if (d->is_rollback) {
        deploy_fail(d, -ENOENT, "the object is gone");
        return;
    }
    if (asprintf(&file, "%s.py", o->id) < 0) {
        deploy_fail(d, -ENOMEM, NULL);
        return;
    }
    d->file = strdup(file);
    free(o->file);
    o->file = file;
    d->expect = OBJECT_FILE_NONE;
    d->creates = true;
    if (d->file)
        start(d);
    else
        deploy_fail(d, -ENOMEM, NULL);
}

static void begin(struct deploy *d)
{
    struct object *o = d->object;
    int err = deploy_know(o);
    free(d->file);
    d->file = NULL;
    if (o->station->stopping)
        deploy_fail(d, -ESHUTDOWN, "the station is stopping");
    else if (err)
        deploy_fail(d, err, NULL);
    else if (o->conflict)
        deploy_fail(d, -EEXIST, NULL);
    else if (o->phase == OBJECT_GONE)
        begin_create(d);
    else
        begin_update(d);
}

/* Nothing is under way, nor about to be: who waits for its place has not chosen what to load. */
static bool is_free(const struct object *o)
{
    return !o->deploy && !o->loading && o->warming.stage != WARMING_WAITS;
}

static void on_next(void *arg)
{
    struct object *o = arg;
    if (is_free(o) && o->file_changed && o->phase != OBJECT_COLD)
        saved_file(o);
    if (is_free(o) && o->reload && o->phase == OBJECT_SERVING)
        lifecycle_event(o, OBJECT_EV_SOURCE);
    while (is_free(o) && o->orders) {
        struct deploy *d = o->orders;
        LL_DELETE(o->orders, d);
        begin(d);
    }
}

void deploy_unstarted(struct object *o)
{
    struct deploy *d = o->deploy, *orders = o->orders, *next;
    char problem[SLOTS_PROBLEM_SIZE];
    slots_problem(o, problem);
    o->orders = NULL;
    if (d && d->stage == DEPLOY_LOADING) {
        o->deploy = NULL;
        deploy_fail(d, -EBUSY, problem);
    }
    LL_FOREACH_SAFE (orders, d, next)
        deploy_fail(d, -EBUSY, problem);
}

void deploy_next(struct object *o)
{
    if (o->orders || o->file_changed || o->reload)
        loop_timer_set(o->station->loop, &o->deploy_timer, 0, on_next, o);
}
