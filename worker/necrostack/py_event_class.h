// SPDX-License-Identifier: Apache-2.0
/*
 * py_event_class - Event and its subclasses as classes: the defaults they declare for fields, and
 * what pydantic asks a class for. Class methods, each called with the class first.
 */
#ifndef WORKER_NECROSTACK_PY_EVENT_CLASS_H
#define WORKER_NECROSTACK_PY_EVENT_CLASS_H

#include <Python.h>

/* What a subclass declares as the default of a field, a new reference; NULL: nothing, or an
 * exception. */
PyObject *py_event_class_default(PyObject *class, PyObject *name);

PyObject *py_event_class_init_subclass(PyObject *class, PyObject *args, PyObject *kwargs);
PyObject *py_event_class_get_validators(PyObject *class, PyObject *unused);
PyObject *py_event_class_modify_schema(PyObject *class, PyObject *schema);
PyObject *py_event_class_get_core_schema(PyObject *class, PyObject *args);
PyObject *py_event_class_get_json_schema(PyObject *class, PyObject *args);

#endif
