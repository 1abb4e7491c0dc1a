// SPDX-License-Identifier: Apache-2.0
/*
 * How what is deployed becomes a version: the scribe writes it, and may refuse, die or be slow.
 */
#include "supervisor/objects/deploy_private.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/objects/candidate.h"
#include "supervisor/objects/handover.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/loading.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

enum { SCRIBE_ATTEMPTS = 3, SAVE_ATTEMPTS = 10 };
#define STORE_RETRY_NS (2 * NS_PER_S)

static void on_stored(void *arg, int err, bool in_objects, uint64_t version);

/* The scribe lives and does not answer: whoever waits is told; the deploy itself goes on. */
static void on_slow(void *arg)
{
    struct deploy *d = arg;
    struct deploy_result result = {.outcome = DEPLOY_FAILED,
                                   .err = -ETIMEDOUT,
                                   .message = "writing its version takes longer than "
                                              "http.view_timeout; it is not given up"};
    log_warn("writing a version of %s takes long", d->object->id);
    if (!d->done || d->rejects) /* nobody waits: the outcome counts, not how long it takes */
        return;
    d->done(d->arg, d->object, &result);
    d->done = NULL;
}

void deploy_store(struct deploy *d)
{
    struct object *o = d->object;
    const char *dir = o->station->config.objects_dir;
    struct scribe_rpc_version_write m = {
        .object_id = span_of(o->id),
        .author = span_of(d->author),
        .message = span_of(d->message),
        .content = {d->source->text, d->source->len},
        .wall_us = clock_wall_us(),
        .is_rejected = d->stage == DEPLOY_REJECTING,
        .reason = d->reason ? span_of(d->reason) : (struct span){"", 0},
        .objects_dir = span_of(dir),
        .file = d->stage == DEPLOY_STORING && d->file ? span_of(d->file) : (struct span){"", 0},
        .expect = d->expect,
        .expected = d->expected,
    };
    d->before = o->history.newest;
    loop_timer_set(o->station->loop, &d->timer, o->station->config.view_timeout_ns, on_slow, d);
    scribe_version_write(o->station->scribe, &m, on_stored, d);
}

/* The scribe died over it: is it in the history? */
static bool was_stored(struct deploy *d, uint64_t *version)
{
    struct history *h = &d->object->history;
    history_forget(h);
    if (deploy_know(d->object) < 0 || h->newest <= d->before ||
        !sha256_equal(h->newest_hash, d->source->hash))
        return false;
    *version = h->newest;
    return true;
}

/* Somebody saved the file meanwhile: that one is deployed first. */
void deploy_stand_back(struct deploy *d)
{
    struct object *o = d->object;
    d->stage = DEPLOY_WAITING;
    o->deploy = NULL;
    LL_PREPEND(o->orders, d);
    load_error_keep(o, 0, LOAD_ERROR_NO_TRACEBACK, "its file was saved while it was deployed");
    loading_drop(o);
    candidate_give_up(o);
}

static void on_store_retry(void *arg)
{
    struct object *o = arg;
    o->store_failed = false;
    o->file_changed = true;
    deploy_next(o);
}

static void try_later(struct object *o)
{
    loop_timer_set(o->station->loop, &o->store_timer, STORE_RETRY_NS, on_store_retry, o);
}

void deploy_try_later(struct object *o, int err)
{
    if (o->deploy)
        o->deploy->err = err;
    try_later(o);
}

static void cannot_store(struct deploy *d, int err, bool in_objects)
{
    struct object *o = d->object;
    struct buf text = BUF_INIT;
    d->err = err;
    buf_printf(&text, "%s cannot be written: %s", in_objects ? o->file : "its version",
               strerror(-err));
    load_error_keep(o, 0, LOAD_ERROR_NO_TRACEBACK, buf_str(&text));
    object_note(o, "ERROR", "not deployed: %s", buf_str(&text));
    log_warn("object %s is not deployed: %s", o->id, buf_str(&text));
    buf_free(&text);
    if (!d->is_order) { /* tried again, for nobody else will */
        o->store_failed = true;
        try_later(o);
    }
    candidate_give_up(o);
}

/* Something else than a file may stand there: no writer to wait for. */
static bool was_saved_meanwhile(const struct object *o, int err)
{
    const struct config *c = &o->station->config;
    int none;
    struct source *s =
        err == -EEXIST ? source_read(c->objects_dir, o->file, c->source_max, &none) : NULL;
    source_unref(s);
    return s || err == -ESTALE;
}

/* The candidate has gone while the version was stored: whatever comes next loads it. */
void deploy_stored_too_late(struct deploy *d, int err)
{
    struct object *o = d->object;
    deploy_fail(d, err ? err : -ECANCELED,
                err ? NULL : "the version is stored; its worker ended before it served");
    if (loop_timer_armed(&o->store_timer))
        return; /* then */
    o->file_changed = true;
    deploy_next(o);
}

static void on_stored(void *arg, int err, bool in_objects, uint64_t version)
{
    struct deploy *d = arg;
    struct object *o = d->object;
    loop_timer_cancel(&d->timer);
    if (err == -EPIPE && was_stored(d, &version))
        err = 0;
    if (err == -EPIPE && ++d->attempts < SCRIBE_ATTEMPTS && !o->station->stopping) {
        deploy_store(d);
        return;
    }
    d->version = version;
    bool is_rejected = d->stage == DEPLOY_REJECTING;
    if (!err)
        history_add(&o->history, version, d->source->hash, is_rejected ? d->reason : NULL);
    if (!err && !is_rejected && d->rejects)
        history_ban(&o->history, d->failed);
    if (is_rejected) {
        if (err)
            log_warn("the rejected version of %s cannot be written: %s", o->id, strerror(-err));
        deploy_finish(d, DEPLOY_REJECTED);
    } else if (o->deploy != d) {
        deploy_stored_too_late(d, err);
    } else if (err && ++d->attempts < SAVE_ATTEMPTS && was_saved_meanwhile(o, err)) {
        deploy_stand_back(d);
    } else if (err) {
        cannot_store(d, err, in_objects);
    } else {
        d->stage = DEPLOY_STORED;
        if (handover_is_under_way(o))
            handover_stored(o, version);
        else
            lifecycle_event(o, OBJECT_EV_READY);
    }
}
