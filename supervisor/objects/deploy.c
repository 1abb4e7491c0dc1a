// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/deploy.h"

#include "common/log.h"
#include "supervisor/objects/deploy_private.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/saved.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

int deploy_know(struct object *o)
{
    return history_know(&o->history, o->station->config.data_dir, o->id);
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
    free(d->crash_id);
    free(d);
}

struct deploy *deploy_new(struct object *o, struct source *source, const char *author,
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
void deploy_finish(struct deploy *d, enum deploy_outcome outcome)
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
        .crash_id = d->crash_id,
    };
    if (d->done && d->object->station->front)
        d->done(d->arg, d->object, &result);
    free_deploy(d);
}

void deploy_fail(struct deploy *d, int err, const char *problem)
{
    d->err = err;
    free(d->problem);
    d->problem = problem ? strdup(problem) : NULL;
    deploy_finish(d, DEPLOY_FAILED);
}

/* --- what the candidate does --- */

bool deploy_holds_ready(struct object *o)
{
    struct deploy *d = o->deploy;
    if (!d || d->stage != DEPLOY_LOADING)
        return false;
    if (d->file && strcmp(d->file, o->file) != 0) { /* another file has taken the id over */
        deploy_stand_back(d);
        return true;
    }
    d->stage = DEPLOY_STORING;
    deploy_store(d);
    return true;
}

uint64_t deploy_served(struct object *o)
{
    struct deploy *d = o->deploy;
    if (!d)
        return 0;
    uint64_t version = d->version;
    o->deploy = NULL;
    if (!d->rejects) /* there would be no end to going back */
        probation_begin(o);
    log_info("object %s serves version %llu by %s", o->id, (unsigned long long)version, d->author);
    deploy_finish(d, DEPLOY_SERVES);
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
    d->crash_id = o->load_crash_id ? strdup(o->load_crash_id) : NULL;
    d->problem = strdup(o->load_error ? o->load_error : "it does not load");
    free(d->reason);
    d->reason = buf_take(&reason, NULL);
    d->stage = DEPLOY_REJECTING;
    if (d->is_order &&
        o->phase == OBJECT_SERVING) /* its file is well, and whoever sent this knows */
        load_error_forget(o);
    if (!d->problem || !d->reason) {
        deploy_fail(d, -ENOMEM, NULL);
    } else if (history_rejects(&o->history, d->source->hash)) {
        d->version = o->history.newest;
        deploy_finish(d, DEPLOY_REJECTED);
    } else if (d->creates || o->station->stopping) { /* no object, no history */
        deploy_finish(d, DEPLOY_REJECTED);
    } else {
        history_add(&o->history, o->history.newest, d->source->hash, d->reason);
        deploy_store(d);
    }
}

void deploy_failed(struct object *o)
{
    struct deploy *d = o->deploy;
    if (!d)
        return;
    o->deploy = NULL;
    switch (d->stage) {
    case DEPLOY_STORING: /* on_stored() finds that it is no more wanted */
        if (d->err) {
            d->problem = o->load_error ? strdup(o->load_error) : NULL;
            deploy_finish(d, DEPLOY_FAILED);
        }
        break;
    case DEPLOY_STORED:
        deploy_stored_too_late(d, d->err);
        break;
    default:
        if (o->loading && !d->is_order && saved_is_settling(o))
            deploy_fail(d, -EAGAIN, "its file was saved meanwhile");
        else if (o->loading)
            reject(d);
        else
            deploy_fail(d, -EAGAIN, o->load_error);
    }
}

void deploy_drop(struct object *o)
{
    struct deploy *d = o->deploy;
    o->deploy = NULL;
    if (d && d->stage != DEPLOY_STORING)
        deploy_fail(d, -ENOENT, "the object was removed");
}

/* --- the file --- */

bool deploy_lacks_version(const struct object *o)
{
    return o->deploy && o->deploy->stage == DEPLOY_LOADING;
}

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
    return o->deploy && (o->deploy->is_order || o->deploy->stage != DEPLOY_LOADING);
}

int deploy_file(struct object *o, struct source *source)
{
    struct deploy *d = deploy_new(o, source_ref(source), "file", "");
    if (!d)
        return -ENOMEM;
    d->stage = DEPLOY_LOADING;
    o->deploy = d;
    return 0;
}

void deploy_free(struct object *o)
{
    struct deploy *d, *next;
    LL_FOREACH_SAFE (o->orders, d, next)
        deploy_fail(d, -ESHUTDOWN, "the station is stopping");
    deploy_drop(o);
    loop_timer_cancel(&o->deploy_timer);
    loop_timer_cancel(&o->store_timer);
}
