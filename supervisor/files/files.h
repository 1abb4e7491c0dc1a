// SPDX-License-Identifier: Apache-2.0
/*
 * files - the files of the station's objects: what is staged becomes part of them, whole or not at
 * all, within limits.files_bytes_max and files_count_max.
 *
 * Mechanism for uploads (upload.h), turns (turn/answer.c) and the views of files (rest/). The slow
 * part of it is the scribe's (scribe/file_work.h). Loop thread only.
 */
#ifndef SUPERVISOR_FILES_FILES_H
#define SUPERVISOR_FILES_FILES_H

#include "common/rpc.h"

struct files;
struct object;
struct station;
struct worker;

/*
 * Opens data/files, does again what the journal says and a crash left undone, removes what was
 * staged and never accepted. Dies when that is impossible.
 */
struct files *files_new(struct station *station);
/* Makes visible what was accepted; the store and the scribe are still there, the loop is not. */
void files_settle(struct files *files, uint64_t timeout_ns);
void files_free(struct files *files);

/* Of data/files, and of the staging folder; borrowed. */
int files_store_fd(const struct files *files);
int files_staging_fd(const struct files *files);

enum { FILES_TOKEN_SIZE = 48 };
/* A token that nobody had before. */
void files_token(struct files *files, char token[FILES_TOKEN_SIZE]);
/* What the tokens of a worker begin with. */
void files_worker_owner(const struct worker *w, char owner[FILES_TOKEN_SIZE]);
/* Do these changes come from that worker, each put with a staged file of its size? */
bool files_are_of_worker(const struct worker *w, const struct rpc_files *files);
/* The worker died: what it staged for turns that never ended goes. */
void files_worker_dead(struct worker *w);

/* done(arg, err, limit, seq): 0, visible and durable with record seq; else nothing happened. */
typedef void (*files_done_fn)(void *arg, int err, unsigned limit, uint64_t seq);
/*
 * Makes staged files of an object durable and visible, all or none; uploads of one object one
 * after the other. -EDQUOT and the enum scribe_files_limit; -ENOSPC, -EISDIR, -ENOMEM… Takes the
 * staged files over in any case.
 */
void files_put(struct object *o, const struct rpc_files *puts, files_done_fn done, void *arg);
/* Deletes a file, whether it is there or not. */
void files_delete(struct object *o, struct span name, files_done_fn done, void *arg);
/* Removes staged files that nobody wants. */
void files_drop(struct station *station, const char *object_id, const struct rpc_files *staged);

/* For file_changes.c: the records that must stay in the journal. */
struct files_held {
    struct files_held *prev, *next;
    uint64_t seq;
};
void files_hold(struct files *files, struct files_held *held, uint64_t seq);
void files_release(struct files *files, struct files_held *held);

#endif
