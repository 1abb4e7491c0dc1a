// SPDX-License-Identifier: Apache-2.0
/*
 * py_necrostack - what the files of the extension module _necrostack share: the Event object.
 *
 * The object embeds struct event, so a backend holds Python's events themselves: retain and release
 * are those of Python. An event that a backend made from bytes is wrapped, its payload parsed when
 * it is first asked for. All calls hold the GIL.
 */
#ifndef WORKER_NECROSTACK_PY_NECROSTACK_H
#define WORKER_NECROSTACK_PY_NECROSTACK_H

#include <Python.h>

#include "common/events/event.h"

struct py_event {
    PyObject_HEAD
    struct event event;
    PyObject *type;    /* str */
    PyObject *payload; /* dict; NULL while it is only in json */
    char *json;        /* the payload's bytes once made or received, NULL before; free() */
    size_t json_len;
};

extern PyTypeObject py_event_type;     /* necrostack.core.event.Event; subclasses allowed */
extern PyObject *py_validation_error;  /* the class ValidationError */

static inline int py_event_check(PyObject *object)
{
    return PyObject_TypeCheck(object, &py_event_type);
}

static inline struct event *py_event_of(PyObject *object)
{
    return &((struct py_event *)object)->event;
}

/* A new reference: the object itself when the event is one of Python's, else one made from it. */
PyObject *py_event_wrap(struct event *event);

/* Each adds its types to the module: 0, or -1 with an exception. */
int py_event_add(PyObject *module);
int py_logging_add(PyObject *module);
int py_memory_backend_add(PyObject *module);
int py_redis_backend_add(PyObject *module);
int py_spine_add(PyObject *module);

#endif
