// SPDX-License-Identifier: Apache-2.0
/*
 * py_necrostack - what the files of the extension module _necrostack share: the Event object.
 *
 * The object embeds struct event, so a backend holds Python's events themselves: retain and release
 * are those of Python. An event that a backend made from bytes is wrapped, which parses its
 * payload. The payload is a dict that its holders can change, as they can in other frameworks of
 * the kind: so its JSON is made whenever it is asked for, and valid until the next time. All calls
 * hold the GIL.
 */
#ifndef WORKER_NECROSTACK_PY_NECROSTACK_H
#define WORKER_NECROSTACK_PY_NECROSTACK_H

#include <Python.h>

#include "common/events/event.h"

struct py_event {
    PyObject_HEAD struct event event;
    PyObject *type;    /* str; NULL: a subclass has not called Event.__init__() */
    PyObject *payload; /* dict; NULL likewise */
    char *json;        /* what event_payload() made last, or NULL; free() */
    size_t json_len;
};

extern PyTypeObject py_event_type; /* necrostack.core.event.Event; subclasses allowed */

/* Is it an event, and has it values? One without is none for anybody but its maker. */
static inline int py_event_check(PyObject *object)
{
    return PyObject_TypeCheck(object, &py_event_type) && ((struct py_event *)object)->type;
}

static inline struct event *py_event_of(PyObject *object)
{
    return &((struct py_event *)object)->event;
}

/*
 * A new reference: the object itself when the event is one of Python's, else one made from it. NULL
 * with ValidationError when the payload holds what Python does not read (an integer of 5,000
 * digits): py_validation_error_words() says it for the dead letters.
 */
PyObject *py_event_wrap(struct event *event);
/*
 * Before an event goes to a backend that writes it: 0, or -1 with ValidationError when somebody has
 * put something else than JSON into its payload (event_payload() would only say -EINVAL).
 */
int py_event_ready(PyObject *event);

/* Each adds its types to the module: 0, or -1 with an exception. */
int py_event_add(PyObject *module);
int py_logging_add(PyObject *module);
int py_memory_backend_add(PyObject *module);
int py_redis_backend_add(PyObject *module);
int py_spine_add(PyObject *module);

#endif
