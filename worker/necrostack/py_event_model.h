// SPDX-License-Identifier: Apache-2.0
/*
 * py_event_model - what an Event can be asked for: dumps, copies, pickles, and the hooks of
 * pydantic.
 */
#ifndef WORKER_NECROSTACK_PY_EVENT_MODEL_H
#define WORKER_NECROSTACK_PY_EVENT_MODEL_H

#include <Python.h>

extern PyMethodDef py_event_model_methods[];

/* Pairs of name and value, so that dict(event) is the event as a dict. */
PyObject *py_event_model_iter(PyObject *event);

#endif
