// SPDX-License-Identifier: Apache-2.0
/*
 * py_logging - the lines of the Python logger "necrostack.spine".
 *
 * A line is an ordinary LogRecord with the extra fields event_id, event_type, organ and emitted,
 * made and handled by the logger. Only where nobody could tell the difference it is written from
 * here: one StreamHandler or FileHandler with JSONFormatter is the only handler that the record
 * would reach, and neither it nor the logger nor the making of records was changed in any way. Ask
 * py_logging_enabled() first: what is switched off then costs one look into a dict.
 *
 * The functions return 0, or -1 with the exception that a filter or a handler of somebody's raised,
 * as logger.info() would. `event` may be NULL where it says so; `organ` is a str. With the GIL.
 */
#ifndef WORKER_NECROSTACK_PY_LOGGING_H
#define WORKER_NECROSTACK_PY_LOGGING_H

#include <Python.h>
#include <stdbool.h>
#include <stddef.h>

enum py_logging_level { PY_LOGGING_DEBUG = 10, PY_LOGGING_INFO = 20, PY_LOGGING_ERROR = 40 };

/* Keeps the caller's exception, if there is one. */
bool py_logging_enabled(enum py_logging_level level);

/* INFO "Dispatching TYPE to ORGAN". */
int py_logging_dispatching(PyObject *event, PyObject *organ);
/* INFO "Handler ORGAN emitted events"; `emitted` are the types of the events, each a str. */
int py_logging_emitted(PyObject *event, PyObject *organ, PyObject *const *emitted, size_t count);
/* ERROR "Handler ORGAN raised exception: …", with its traceback. */
int py_logging_raised(PyObject *event, PyObject *organ, PyObject *exception);
/* DEBUG "No organ listens to TYPE". */
int py_logging_unheard(PyObject *event);
/* ERROR, anything else, if that is on, with a traceback; the format as PyUnicode_FromFormat() has
 * it, `event` or NULL. */
int py_logging_failed(PyObject *event, PyObject *exception, const char *format, ...);

#endif
