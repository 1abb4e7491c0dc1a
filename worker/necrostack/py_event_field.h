// SPDX-License-Identifier: Apache-2.0
/*
 * py_event_field - the fields of an event between Python's values and those of struct event.
 *
 * The readers return 0; 1 when a fault was noted in *faults (py_validation_error.h); -1 with an
 * exception set. With the GIL.
 */
#ifndef WORKER_NECROSTACK_PY_EVENT_FIELD_H
#define WORKER_NECROSTACK_PY_EVENT_FIELD_H

#include <Python.h>

#include "common/events/event.h"

/* In the order of the constructor. */
enum py_event_field { FIELD_TYPE, FIELD_PAYLOAD, FIELD_ID, FIELD_TIMESTAMP, FIELDS };
extern const char *const py_event_field_names[FIELDS];
/* The same as interned str. */
extern PyObject *py_event_field_keys[FIELDS];

/* 0, or -1 with an exception. */
int py_event_field_init(void);
/* Which field that is; FIELDS: none. */
enum py_event_field py_event_field_of(PyObject *name);

/* A str, stripped and not empty; *type is a new reference. */
int py_event_field_type(PyObject *value, PyObject **type, PyObject **faults);
/* The text of a UUID v4. */
int py_event_field_id(PyObject *value, uint8_t id[EVENT_ID_SIZE], PyObject **faults);
/* A datetime that knows its zone, or such a time in ISO 8601. */
int py_event_field_timestamp(PyObject *value, int64_t *time_us, PyObject **faults);

/* New references. */
PyObject *py_event_field_id_text(const struct event *event);
PyObject *py_event_field_datetime(const struct event *event);
PyObject *py_event_field_iso(const struct event *event);

#endif
