// SPDX-License-Identifier: Apache-2.0
/*
 * file_stage - the files of the worker's object as its turns see them: the object's folder below
 * data/files, over it what was accepted and is not visible there yet, and over that what the
 * running turn has changed.
 *
 * A put writes a staged file, which goes with the turn: commit makes it durable and puts it into
 * the answer, undo removes it. The station makes accepted changes visible and says so. Errors are
 * -errno; -EDQUOT: the object would have more than it may (file_stage_limit()). Main thread, or
 * with the GIL.
 */
#ifndef WORKER_FILE_STAGE_H
#define WORKER_FILE_STAGE_H

#include "common/file_store.h"
#include "worker/reply.h"

/* owner: what the tokens of this worker begin with. Texts are copied. 0 or -ENOMEM. */
int file_stage_configure(const char *data_dir, const char *object_id, const char *owner,
                         uint64_t bytes_max, uint64_t count_max);
/* What is accepted and not visible, instead of what was believed to be; drops the running turn. */
int file_stage_load(const struct rpc_files *accepted);
/* Another worker's turn changed these, which was accepted. 0 or -ENOMEM. */
int file_stage_accept(const struct rpc_files *files);
/* These are visible now. */
void file_stage_applied(const struct rpc_files *files);

/* --- reading; with_turn: as the running turn sees them --- */

/* A descriptor and what fstat says; -ENOENT. */
int file_stage_read(const char *name, bool with_turn, struct stat *st);
int file_stage_stat(const char *name, bool with_turn, struct stat *st);
/* As file_store_each(). */
int file_stage_each(bool with_turn, int (*fn)(void *arg, const char *name, const struct stat *st),
                    void *arg);

/* --- writing, by the running turn --- */

struct file_stage_put {
    int fd;
    uint64_t size;
    uint64_t others; /* bytes of all other files of the object */
    char token[FILE_STORE_TOKEN_MAX + 1];
    const char *name; /* borrowed */
};
/* The name has no file_store_name_problem(). After 0: _end or _abandon. */
int file_stage_begin(struct file_stage_put *put, const char *name);
int file_stage_write(struct file_stage_put *put, const void *bytes, size_t len);
int file_stage_end(struct file_stage_put *put);
void file_stage_abandon(struct file_stage_put *put);
/* 1; 0: there is none. */
int file_stage_delete(const char *name);
/* Name of the limit of the last -EDQUOT, and what it is. */
const char *file_stage_limit(uint64_t *value);

/*
 * The end of the turn: prepare makes its changes durable and puts them into the reply; then commit,
 * which cannot fail, or undo.
 */
int file_stage_prepare(struct reply *reply);
void file_stage_commit(void);
void file_stage_undo(void);

#endif
