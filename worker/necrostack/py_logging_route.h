// SPDX-License-Identifier: Apache-2.0
/*
 * py_logging_route - where a record of a logger would go, when that is one plain JSON handler.
 */
#ifndef WORKER_NECROSTACK_PY_LOGGING_ROUTE_H
#define WORKER_NECROSTACK_PY_LOGGING_ROUTE_H

#include <Python.h>

/* `logging` is that module. 0, or -1 with an exception. */
int py_logging_route_init(PyObject *logging);
/*
 * The only handler that a record of this level would reach, a new reference, if all that would
 * happen on the way is that its stream gets the line of JSONFormatter. NULL without an exception:
 * it is not so.
 */
PyObject *py_logging_route_find(PyObject *logger, PyObject *level);
/* Writes and flushes as the handler does, under its lock. 0, or -1 with what the stream raised. */
int py_logging_route_write(PyObject *handler, PyObject *text);

#endif
