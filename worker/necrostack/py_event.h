// SPDX-License-Identifier: Apache-2.0
/*
 * py_event - how an Event comes into being: one way for all who make one.
 *
 * Event holds no reference that could lead back to it (payloads consist of JSON), so it is left out
 * of the cycle collector: a payload that somebody changes to contain its own event is never freed.
 * Subclasses are in it, for the sake of their own attributes.
 */
#ifndef WORKER_NECROSTACK_PY_EVENT_H
#define WORKER_NECROSTACK_PY_EVENT_H

#include "worker/necrostack/py_event_field.h"
#include "worker/necrostack/py_necrostack.h"

/* What was given for each field, borrowed; NULL: its default. */
struct py_event_values {
    PyObject *given[FIELDS];
};

/* Puts values into an event that has none yet. Steals `faults`, noted already; 0, or -1 with a
 * ValidationError about all of them or another exception. */
int py_event_fill(PyObject *event, const struct py_event_values *values, PyObject *faults);
/* The same with a new event of a type, whose own __init__ is not called. */
PyObject *py_event_make(PyTypeObject *type, const struct py_event_values *values, PyObject *faults);
/* Takes the values from a dict of the fields' names, notes its other members; 0, or -1 with an
 * exception. */
int py_event_values_of(struct py_event_values *values, PyObject *dict, PyObject **faults);

/* "Event", or what else the class is called. */
const char *py_event_type_name(const PyTypeObject *type);
/* The value of a field, a new reference: the payload itself. */
PyObject *py_event_value(PyObject *event, enum py_event_field field);

#endif
