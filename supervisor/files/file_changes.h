// SPDX-License-Identifier: Apache-2.0
/*
 * file_changes - changes of an object's files on their way from the journal to being visible.
 *
 * A change is accepted with a record of the journal (its staged file durable before that), becomes
 * visible by the scribe once the record is durable, and is then marked done in the journal. Changes
 * of one object become visible in the order of their records. Until then workers are told of them
 * with LOAD and RESET, and whoever shows files waits (file_changes_when_visible). What a crash
 * leaves is done at the next start. Loop thread only.
 */
#ifndef SUPERVISOR_FILES_FILE_CHANGES_H
#define SUPERVISOR_FILES_FILE_CHANGES_H

#include "common/rpc.h"

struct object;
struct file_change;

/* An accepted record's changes, copied, before its record is made; NULL when memory is short. */
struct file_change *file_change_new(struct object *o, const struct rpc_files *files);
void file_change_free(struct file_change *change);
/* Its record is made: takes it over. */
void file_change_accept(struct file_change *change, uint64_t seq);

/* What is accepted and not visible, oldest first, appended to `text`. -ENOMEM. */
int file_changes_pending(const struct object *o, struct buf *text, struct rpc_files *files);
/*
 * Runs fn(arg) once everything that is accepted now is visible: at once or later. 0 or -ENOMEM.
 */
int file_changes_when_visible(struct object *o, void (*fn)(void *arg), void *arg);
/* More is durable, or a retry is due: goes on. */
void file_changes_push(struct object *o);
/* Frees what an object has; nothing may be under way in the scribe. */
void file_changes_free(struct object *o);

#endif
