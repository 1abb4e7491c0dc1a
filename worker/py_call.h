// SPDX-License-Identifier: Apache-2.0
/*
 * py_call - calls of other objects: the methods of `_runtime`, and the handles of load_object().
 *
 * For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_CALL_H
#define WORKER_PY_CALL_H

#include "worker/py_compat.h"

int py_call_init(void);
/* call_object(object_id, method="GET", request=None, timeout=None) */
PyObject *py_call_object(PyObject *self, PyObject *args, PyObject *kwargs);
/* The same as a coroutine. */
PyObject *py_call_object_async(PyObject *self, PyObject *args, PyObject *kwargs);
/* load_object(path_or_id) */
PyObject *py_call_load(PyObject *self, PyObject *path_or_id);

#endif
