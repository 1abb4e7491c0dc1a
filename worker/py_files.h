// SPDX-License-Identifier: Apache-2.0
/*
 * py_files - `_files` (also `_file_storage`): the object's files, changed with the turn.
 *
 * For py_*.c only; with the GIL. What is behind it is in file_stage.h.
 */
#ifndef WORKER_PY_FILES_H
#define WORKER_PY_FILES_H

#include "worker/reply.h"

struct _object; /* PyObject */

/* Readies the types. 0, or -1 with a Python exception. */
int py_files_init(void);
/* Borrowed. */
struct _object *py_files(void);
/* Puts the turn's changes into the reply, durably staged: 0, or -1 with an exception (undo then).
 * file_stage_commit() or file_stage_undo() comes next. */
int py_files_prepare(struct reply *reply);
/* Was this exception raised because a limit, or the disk, has no room? Its limit's name or NULL. */
const char *py_files_full(struct _object *exception);

#endif
