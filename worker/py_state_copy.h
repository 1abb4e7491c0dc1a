// SPDX-License-Identifier: Apache-2.0
/*
 * py_state_copy - the store behind py_state: stored values and their forms.
 *
 * What a checkpoint brought stays in a compact table (state_base.h) until it is used.
 * A stored value is an exact None, bool, int, float or str, or bytes with the JSON text of anything
 * else (or of a scalar that nobody has read since the checkpoint). For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_STATE_COPY_H
#define WORKER_PY_STATE_COPY_H

#include "common/rpc.h"
#include "worker/py_compat.h"

int py_state_copy_init(void);
/* As py_state_load. */
int py_state_copy_load(const struct rpc_state *state, int checkpoint_fd, struct buf *error);
/*
 * Everything as one dict of stored values; a new reference, or NULL with an exception. Callers do
 * not change it. Costs as much as the state is large, once.
 */
PyObject *py_state_copy_dict(void);
/* The newest version whose migrate_state() the state has been through; 0: none. */
uint64_t py_state_copy_migrated(void);
/* Number of keys; costs nothing. */
size_t py_state_copy_count(void);
/* The stored value, borrowed; NULL without an exception when there is none. */
PyObject *py_state_copy_raw(PyObject *key);
/* A fresh value: NULL without an exception when the key is not there. */
PyObject *py_state_copy_get(PyObject *key);
/* What get() gives for a stored value. A new reference, or NULL. */
PyObject *py_state_copy_fresh(PyObject *key, PyObject *stored);
/* The form to store a value in. A new reference, or NULL with TypeError. */
PyObject *py_state_copy_store(PyObject *value);
/* stored NULL deletes. 0, or -1 with an exception. */
int py_state_copy_put(PyObject *key, PyObject *stored);
/* As put, for undoing: cannot raise; without memory the process ends. */
void py_state_copy_restore(PyObject *key, PyObject *stored);
/* Applies encoded writes (rpc.h): 0, or -ENOMEM and `error` says so. */
int py_state_copy_apply(struct span writes, struct buf *error);
/* Appends one encoded rpc_write. 0, or -1 with an exception. */
int py_state_copy_encode_write(struct buf *writes, PyObject *key, PyObject *stored);

#endif
