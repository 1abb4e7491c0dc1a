// SPDX-License-Identifier: Apache-2.0
/*
 * deploy_private - what the files of deploy share.
 */
#ifndef SUPERVISOR_OBJECTS_DEPLOY_PRIVATE_H
#define SUPERVISOR_OBJECTS_DEPLOY_PRIVATE_H

#include "supervisor/objects/deploy.h"
#include "supervisor/objects/object.h"
#include "supervisor/versions/object_file.h"

enum deploy_stage {
    DEPLOY_WAITING,
    DEPLOY_LOADING,
    DEPLOY_STORING,
    DEPLOY_STORED,
    DEPLOY_REJECTING
};

struct deploy {
    struct deploy *next;
    struct object *object;
    enum deploy_stage stage;
    struct source *source;
    char *author, *message;
    char *file; /* to be written, below the objects folder; NULL: it came from there */
    enum object_file_expect expect;
    struct sha256 expected;
    bool is_order, is_rollback, creates;
    uint64_t rejects;     /* the version that failed; 0 */
    struct sha256 failed; /* and its content */
    unsigned attempts;    /* at storing it, that failed */
    uint64_t before;      /* the newest version when it was sent to the scribe */
    uint64_t version;
    int err;                            /* why it cannot be stored; its source is not to blame */
    char *problem, *reason, *traceback; /* reason: the problem and its line */
    char *crash_id;                     /* of the worker that tried it; NULL */
    uint32_t line;
    struct loop_timer timer; /* the scribe takes too long */
    deploy_done_fn done;     /* NULL: nobody waits */
    void *arg;
};

/* source: taken over. NULL when memory is short. */
struct deploy *deploy_new(struct object *o, struct source *source, const char *author,
                          const char *message);
/* Tells whoever waits, and frees. */
void deploy_finish(struct deploy *d, enum deploy_outcome outcome);
/* problem: NULL: what the error number says. */
void deploy_fail(struct deploy *d, int err, const char *problem);
/* Reads the history of the object where that is not known yet: 0 or -errno. */
int deploy_know(struct object *o);

/* Sends it to the scribe, as accepted or (DEPLOY_REJECTING) rejected. */
void deploy_store(struct deploy *d);
/* Somebody saved the file meanwhile: that one is deployed first. */
void deploy_stand_back(struct deploy *d);
/* The candidate has gone while the version was stored: whatever comes next loads it. */
void deploy_stored_too_late(struct deploy *d, int err);

#endif
