// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/deploy.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/loading.h"
#include "supervisor/objects/saved.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/station.h"
#include "supervisor/versions/object_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

enum { SCRIBE_ATTEMPTS = 3, SAVE_ATTEMPTS = 10 };
#define STORE_RETRY_NS (2 * NS_PER_S)

enum stage { WAITING, LOADING, STORING, STORED, REJECTING };

struct deploy {
    struct deploy *next;
    struct object *object;
    enum stage stage;
    struct source *source;
    char *author, *message;
    char *file; /* to be written, below the objects folder; NULL: it came from there */
    enum object_file_expect expect;
    struct sha256 expected;
    bool is_order, is_rollback, creates;
    unsigned attempts; /* at storing it, that failed */
    uint64_t before;   /* the newest version when it was sent to the scribe */
    uint64_t version;
    int err;                            /* why it cannot be stored; its source is not to blame */
    char *problem, *reason, *traceback; /* reason: the problem and its line */
    uint32_t line;
    struct loop_timer timer; /* the scribe takes too long */
    deploy_done_fn done;     /* NULL: nobody waits */
    void *arg;
};

static const char *data_dir(const struct object *o)
{
    return o->station->config.data_dir;
}

static int know(struct object *o)
{
    return history_know(&o->history, data_dir(o), o->id);
}

/* --- making and ending one --- */

static void free_deploy(struct deploy *d)
{
    loop_timer_cancel(&d->timer);
    source_unref(d->source);
    free(d->author);
    free(d->message);
    free(d->file);
    free(d->problem);
    free(d->reason);
    free(d->traceback);
    free(d);
}

static struct deploy *new_deploy(struct object *o, struct source *source, const char *author,
                                 const char *message)
{
    struct deploy *d = calloc(1, sizeof(*d));
    if (!d) {
        source_unref(source);
        return NULL;
    }
    d->object = o;
    d->source = source;
    d->author = strdup(author);
    d->message = strdup(message);
    if (d->author && d->message)
        return d;
    free_deploy(d);
    return NULL;
}

/* Tells whoever waits, and frees. Without a front there is nobody left. */
static void finish(struct deploy *d, enum deploy_outcome outcome)
{
    struct deploy_result result = {
        .outcome = outcome,
        .version = d->version,
        .created = d->creates,
        .err = d->err,
        .message = d->problem ? d->problem
                   : d->err   ? strerror(-d->err)
                              : "",
        .line = d->line,
        .traceback = d->traceback,
    };
    if (d->done && d->object->station->front)
        d->done(d->arg, d->object, &result);
    free_deploy(d);
}

static void fail(struct deploy *d, int err, const char *problem)
{
    d->err = err;
    free(d->problem);
    d->problem = problem ? strdup(problem) : NULL;
    finish(d, DEPLOY_FAILED);
}

/* --- storing --- */

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
    if (d->done)
        d->done(d->arg, d->object, &result);
    d->done = NULL;
}

static void store(struct deploy *d)
{
    struct object *o = d->object;
    const char *dir = o->station->config.objects_dir;
    struct scribe_rpc_version_write m = {
        .object_id = span_of(o->id),
        .author = span_of(d->author),
        .message = span_of(d->message),
        .content = {d->source->text, d->source->len},
        .wall_us = clock_wall_us(),
        .is_rejected = d->stage == REJECTING,
        .reason = d->reason ? span_of(d->reason) : (struct span){"", 0},
        .objects_dir = span_of(dir),
        .file = d->stage == STORING && d->file ? span_of(d->file) : (struct span){"", 0},
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
    if (know(d->object) < 0 || h->newest <= d->before ||
        !sha256_equal(h->newest_hash, d->source->hash))
        return false;
    *version = h->newest;
    return true;
}

static void candidate_fails(struct object *o)
{
    struct worker *w = worker_get(o->station->workers, o->candidate);
    if (w)
        worker_kill(w, WORKER_BLAME_UNWANTED);
    lifecycle_event(o, OBJECT_EV_CANDIDATE_FAILED);
}

/* Somebody saved the file meanwhile: that one is deployed first. */
static void stand_back(struct deploy *d)
{
    struct object *o = d->object;
    d->stage = WAITING;
    o->deploy = NULL;
    LL_PREPEND(o->orders, d);
    load_error_keep(o, 0, LOAD_ERROR_NO_TRACEBACK, "its file was saved while it was deployed");
    loading_drop(o);
    candidate_fails(o);
}

static void on_store_retry(void *arg)
{
    struct object *o = arg;
    o->store_failed = false;
    o->file_changed = true;
    deploy_next(o);
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
        loop_timer_set(o->station->loop, &o->store_timer, STORE_RETRY_NS, on_store_retry, o);
    }
    candidate_fails(o);
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
static void stored_too_late(struct deploy *d, int err)
{
    struct object *o = d->object;
    fail(d, err ? err : -ECANCELED,
         err ? NULL : "the version is stored; its worker ended before it served");
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
        store(d);
        return;
    }
    d->version = version;
    bool is_rejected = d->stage == REJECTING;
    if (!err)
        history_add(&o->history, version, d->source->hash, is_rejected ? d->reason : NULL);
    if (is_rejected) {
        if (err)
            log_warn("the rejected version of %s cannot be written: %s", o->id, strerror(-err));
        finish(d, DEPLOY_REJECTED);
    } else if (o->deploy != d) {
        stored_too_late(d, err);
    } else if (err && ++d->attempts < SAVE_ATTEMPTS && was_saved_meanwhile(o, err)) {
        stand_back(d);
    } else if (err) {
        cannot_store(d, err, in_objects);
    } else {
        d->stage = STORED;
        lifecycle_event(o, OBJECT_EV_READY);
    }
}

/* --- what the candidate does --- */

bool deploy_holds_ready(struct object *o)
{
    struct deploy *d = o->deploy;
    if (!d || d->stage != LOADING)
        return false;
    if (d->file && strcmp(d->file, o->file) != 0) { /* another file has taken the id over */
        stand_back(d);
        return true;
    }
    d->stage = STORING;
    store(d);
    return true;
}

uint64_t deploy_served(struct object *o)
{
    struct deploy *d = o->deploy;
    if (!d)
        return 0;
    uint64_t version = d->version;
    o->deploy = NULL;
    log_info("object %s serves version %llu by %s", o->id, (unsigned long long)version, d->author);
    finish(d, DEPLOY_SERVES);
    return version;
}

/* Its source is to blame: it stands in the history, unless it does already. */
static void reject(struct deploy *d)
{
    struct object *o = d->object;
    struct buf reason = BUF_INIT;
    if (o->load_line)
        buf_printf(&reason, "line %u: ", o->load_line);
    buf_puts(&reason, o->load_error ? o->load_error : "it does not load");
    d->line = o->load_line;
    d->traceback = o->load_traceback ? strdup(o->load_traceback) : NULL;
    d->problem = strdup(o->load_error ? o->load_error : "it does not load");
    d->reason = buf_take(&reason, NULL);
    d->stage = REJECTING;
    if (d->is_order &&
        o->phase == OBJECT_SERVING) /* its file is well, and whoever sent this knows */
        load_error_forget(o);
    if (!d->problem || !d->reason) {
        fail(d, -ENOMEM, NULL);
    } else if (history_rejects(&o->history, d->source->hash)) {
        d->version = o->history.newest;
        finish(d, DEPLOY_REJECTED);
    } else if (d->creates || o->station->stopping) { /* no object, no history */
        finish(d, DEPLOY_REJECTED);
    } else {
        history_add(&o->history, o->history.newest, d->source->hash, d->reason);
        store(d);
    }
}

void deploy_failed(struct object *o)
{
    struct deploy *d = o->deploy;
    if (!d)
        return;
    o->deploy = NULL;
    switch (d->stage) {
    case STORING: /* on_stored() finds that it is no more wanted */
        if (d->err) {
            d->problem = o->load_error ? strdup(o->load_error) : NULL;
            finish(d, DEPLOY_FAILED);
        }
        break;
    case STORED:
        stored_too_late(d, 0);
        break;
    default:
        if (o->loading)
            reject(d);
        else
            fail(d, -EAGAIN, o->load_error);
    }
}

void deploy_drop(struct object *o)
{
    struct deploy *d = o->deploy;
    o->deploy = NULL;
    if (d && d->stage != STORING)
        fail(d, -ENOENT, "the object was removed");
}

/* --- the file --- */

struct source *deploy_source(const struct object *o)
{
    return o->deploy ? o->deploy->source : NULL;
}

bool deploy_creates(const struct object *o)
{
    return o->deploy && o->deploy->creates;
}

bool deploy_is_pinned(const struct object *o)
{
    return o->deploy && (o->deploy->is_order || o->deploy->stage != LOADING);
}

int deploy_file(struct object *o, struct source *source)
{
    struct deploy *d = new_deploy(o, source_ref(source), "file", "");
    if (!d)
        return -ENOMEM;
    d->stage = LOADING;
    o->deploy = d;
    return 0;
}

/* --- orders --- */

int deploy_ask(struct object *o, const struct deploy_order *order)
{
    struct deploy *other;
    size_t count;
    LL_COUNT(o->orders, other, count);
    if (count >= o->station->config.deploys_object_max) {
        source_unref(order->source);
        return -EBUSY;
    }
    struct deploy *d = new_deploy(o, order->source, order->author, order->message);
    if (!d)
        return -ENOMEM;
    d->is_order = true;
    d->is_rollback = order->is_rollback;
    d->done = order->done;
    d->arg = order->arg;
    LL_APPEND(o->orders, d);
    deploy_next(o);
    return 0;
}

static void start(struct deploy *d)
{
    struct object *o = d->object;
    d->stage = LOADING;
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
    struct deploy *first = new_deploy(o, source_ref(file), "file", "");
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
        fail(d, -ENOMEM, NULL);
    } else if (file && serves_already(d, file)) {
        d->version = o->history.accepted;
        finish(d, DEPLOY_UNCHANGED);
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
        fail(d, -ENOENT, "the object is gone");
        return;
    }
    if (asprintf(&file, "%s.py", o->id) < 0) {
        fail(d, -ENOMEM, NULL);
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
        fail(d, -ENOMEM, NULL);
}

static void begin(struct deploy *d)
{
    struct object *o = d->object;
    int err = know(o);
    free(d->file);
    d->file = NULL;
    if (o->station->stopping)
        fail(d, -ESHUTDOWN, "the station is stopping");
    else if (err)
        fail(d, err, NULL);
    else if (o->conflict)
        fail(d, -EEXIST, NULL);
    else if (o->phase == OBJECT_GONE)
        begin_create(d);
    else
        begin_update(d);
}

static void on_next(void *arg)
{
    struct object *o = arg;
    if (!o->deploy && !o->loading && o->file_changed && o->phase != OBJECT_COLD)
        saved_file(o);
    if (!o->deploy && !o->loading && o->reload && o->phase == OBJECT_SERVING)
        lifecycle_event(o, OBJECT_EV_SOURCE);
    while (!o->deploy && !o->loading && o->orders) {
        struct deploy *d = o->orders;
        LL_DELETE(o->orders, d);
        begin(d);
    }
}

void deploy_next(struct object *o)
{
    if (o->orders || o->file_changed || o->reload)
        loop_timer_set(o->station->loop, &o->deploy_timer, 0, on_next, o);
}

void deploy_free(struct object *o)
{
    struct deploy *d, *next;
    LL_FOREACH_SAFE (o->orders, d, next)
        fail(d, -ESHUTDOWN, "the station is stopping");
    deploy_drop(o);
    loop_timer_cancel(&o->deploy_timer);
    loop_timer_cancel(&o->store_timer);
}
