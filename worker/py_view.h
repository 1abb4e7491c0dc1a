// SPDX-License-Identifier: Apache-2.0
/*
 * py_view - what the station shows of an object, to code: its state, its log, its metadata.
 *
 * They are the answers of ?state=true, ?logs=true and ?metadata=true: what is accepted and durable.
 * Each returns a new reference, or NULL with an exception. For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_VIEW_H
#define WORKER_PY_VIEW_H

#include "worker/py_compat.h"

/* The dict of the whole state; of one key (str), its value, or `otherwise`, borrowed, without it.
 */
PyObject *py_view_state(PyObject *object_id, PyObject *key, PyObject *otherwise);
/* get_logs(level=None, limit=None, offset=0, **filters): a list of dicts, newest last. */
PyObject *py_view_logs(PyObject *object_id, PyObject *args, PyObject *kwargs);
PyObject *py_view_metadata(PyObject *object_id);

#endif
