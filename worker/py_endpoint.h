// SPDX-License-Identifier: Apache-2.0
/*
 * py_endpoint - the module's `__endpoint__`: what only the worker can check about it. Types and
 * ranges are the supervisor's business.
 *
 * For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_ENDPOINT_H
#define WORKER_PY_ENDPOINT_H

#include "worker/py_compat.h"

#include <stdbool.h>

/*
 * The dict, or an empty one; a new reference. NULL with TypeError when it is none, or names a
 * function (in "schedule" or "subscribe") that the module does not have.
 */
PyObject *py_endpoint_of(PyObject *names);
bool py_endpoint_is_stateless(PyObject *names);
/* Is "concurrent" above 1? */
bool py_endpoint_is_concurrent(PyObject *names);

#endif
