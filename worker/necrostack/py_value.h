// SPDX-License-Identifier: Apache-2.0
/*
 * py_value - payloads as Python values: strictly JSON, and the event's own.
 *
 * Allowed are None, bool, int (as long as Python itself prints it), finite float, str without lone
 * surrogates, and dict (with str keys), list and tuple of these, EVENT_DEPTH_MAX deep at most,
 * within EVENT_PAYLOAD_MAX bytes of compact JSON in UTF-8. A copy consists of the exact types that
 * json.loads makes: tuples become lists, members of enumerations their values. No code of the
 * caller runs meanwhile, but of a subclass of dict or list that iterates in its own way. With the
 * GIL.
 */
#ifndef WORKER_NECROSTACK_PY_VALUE_H
#define WORKER_NECROSTACK_PY_VALUE_H

#include <Python.h>

/* A checked copy of a payload, which shares nothing that changes with it. NULL: a fault was noted
 * in *faults (py_validation_error.h), or an exception is set. */
PyObject *py_value_copy(PyObject *payload, PyObject **faults);
/* The same for a dict that nobody else has, as a decoder makes it: checked in place; steals it. */
PyObject *py_value_own(PyObject *payload, PyObject **faults);

#endif
