// SPDX-License-Identifier: Apache-2.0
/*
 * deploy - a source on its way to being a version that serves: asked for over HTTP (an order), or
 * found in the object's file.
 *
 * One at a time for an object, in the order in which they came; each becomes a version of its own.
 *
 *   waiting -> loading (a candidate imports it) -> storing (the scribe appends it to the history
 *   and writes the object's file) -> stored (the candidate takes over) -> it serves
 *
 * What does not load stands in the history as rejected. A file that was saved while an order is
 * under way is deployed before or after it, never overwritten unseen: the scribe checks what stands
 * there. lifecycle calls in here as its candidate comes along; only this file writes versions.
 */
#ifndef SUPERVISOR_OBJECTS_DEPLOY_H
#define SUPERVISOR_OBJECTS_DEPLOY_H

#include "supervisor/objects/source.h"

struct object;

enum deploy_outcome {
    DEPLOY_SERVES,    /* as `version` */
    DEPLOY_UNCHANGED, /* that is what serves already, as `version` */
    DEPLOY_REJECTED,  /* it does not load: message, line, traceback; `version` 0: not recorded */
    DEPLOY_FAILED,    /* `err`, message */
};

struct deploy_result {
    enum deploy_outcome outcome;
    uint64_t version;
    bool created;
    int err; /* -ENOSPC, -ENOENT (the object is gone), -EEXIST (two files with its id), -EBUSY (it
                waits for a slot: slots_limit()), … */
    const char *message;
    uint32_t line;
    const char *traceback, *crash_id; /* NULL: none */
};
typedef void (*deploy_done_fn)(void *arg, struct object *o, const struct deploy_result *result);

struct deploy_order {
    struct source *source; /* taken over in any case */
    const char *author, *message;
    bool is_rollback; /* a version of its own even when that content serves already */
    uint64_t rejects; /* the version that failed: it still has to be what serves, its content counts
                         as rejected then, and the object's file is left alone; 0: none */
    deploy_done_fn done;
    void *arg;
};

/*
 * Takes an order for an object; done is called exactly once, later. -ENOMEM, or -EBUSY when
 * limits.deploys_object_max of them wait.
 */
int deploy_ask(struct object *o, const struct deploy_order *order);

/* --- for lifecycle and loading --- */

/* A saved file has to wait: an order is under way, or a version is being stored. */
bool deploy_is_pinned(const struct object *o);
/* An order is under way that is to create the object. */
bool deploy_creates(const struct object *o);
/* What is under way is not in the history yet. */
bool deploy_lacks_version(const struct object *o);
/* The source to be loaded; NULL: none is under way. */
struct source *deploy_source(const struct object *o);
/* The file's content is new: it becomes what is under way. 0 or -ENOMEM. */
int deploy_file(struct object *o, struct source *source);
/* The candidate is ready. True: a version is stored first, and READY comes after that. */
bool deploy_holds_ready(struct object *o);
/* The candidate takes over. The id of the version that serves from now on; 0: nothing new. */
uint64_t deploy_served(struct object *o);
/* The candidate failed, before loading_drop(): with o->loading the source is to blame. */
void deploy_failed(struct object *o);
/* What was written for it, or by it, could not be kept: the object's file is looked at again. */
void deploy_try_later(struct object *o, int err);
/* There is no worker for it, and was none for as long as it waits: all orders fail, with -EBUSY. */
void deploy_unstarted(struct object *o);
/* A newer file takes the place of the one that is loading, or the object has gone. */
void deploy_drop(struct object *o);
/* Nothing is under way any more: goes on with what waits, soon. */
void deploy_next(struct object *o);
void deploy_free(struct object *o);

#endif
