// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_spine_face.h"

#include "worker/necrostack/py_necrostack.h"

/* Imported on each use: none of this is on the way of an event. */
static PyObject *face(const char *name)
{
    PyObject *module = PyImport_ImportModule("necrostack.core.outcomes"), *thing;
    if (!module)
        return NULL;
    thing = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    return thing;
}

/* --- modes -------------------------------------------------------------------------------- */

/* The index of the member's value in `values`. */
static int member_index(PyObject *member, const char *const values[])
{
    PyObject *value = PyObject_GetAttrString(member, "value");
    int index = -1;
    for (int i = 0; value && values[i] && index < 0; i++)
        if (PyUnicode_Check(value) && PyUnicode_CompareWithASCIIString(value, values[i]) == 0)
            index = i;
    if (value && index < 0)
        PyErr_Format(PyExc_ValueError, "%R is no failure mode", member);
    Py_XDECREF(value);
    return index;
}

static int read_mode(const char *name, PyObject *given, const char *usual,
                     const char *const values[], PyObject **member)
{
    PyObject *type = face(name);
    int index = -1;
    *member = NULL;
    if (type && given)
        *member = PyObject_CallOneArg(type, given);
    else if (type)
        *member = PyObject_CallFunction(type, "s", usual);
    if (*member)
        index = member_index(*member, values);
    if (index < 0)
        Py_CLEAR(*member);
    Py_XDECREF(type);
    return index;
}

int spine_face_enqueue_mode(PyObject *given, PyObject **member, enum spine_enqueue_mode *mode)
{
    static const char *const values[] = {
        [SPINE_ENQUEUE_FAIL] = "fail",
        [SPINE_ENQUEUE_RETRY] = "retry",
        [SPINE_ENQUEUE_STORE] = "store",
        NULL,
    };
    int index = read_mode("EnqueueFailureMode", given, "store", values, member);
    if (index < 0)
        return -1;
    *mode = (enum spine_enqueue_mode)index;
    return 0;
}

int spine_face_handler_mode(PyObject *given, PyObject **member, enum spine_handler_mode *mode)
{
    static const char *const values[] = {
        [SPINE_HANDLER_LOG] = "log",
        [SPINE_HANDLER_STORE] = "store",
        [SPINE_HANDLER_NACK] = "nack",
        NULL,
    };
    int index = read_mode("HandlerFailureMode", given, "log", values, member);
    if (index < 0)
        return -1;
    *mode = (enum spine_handler_mode)index;
    return 0;
}

/* --- results ------------------------------------------------------------------------------ */

PyObject *spine_face_stats(const struct spine_stats *stats)
{
    PyObject *type = face("SpineStats"), *result = NULL;
    if (type)
        result = PyObject_CallFunction(type, "KKKKKK", stats->processed, stats->emitted,
                                       stats->enqueue_failures, stats->handler_errors,
                                       stats->backend_errors, stats->ack_errors);
    Py_XDECREF(type);
    return result;
}

/* Raises `exception`, stolen, with a cause, unless it is NULL: then its making raised. */
static void raise_from(PyObject *exception, PyObject *cause)
{
    if (!exception)
        return;
    PyException_SetCause(exception, Py_XNewRef(cause));
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
}

void spine_face_raise_enqueue_error(PyObject *event, PyObject *original)
{
    PyObject *type = face("EnqueueError"), *exception = NULL;
    if (type)
        exception = PyObject_CallFunctionObjArgs(type, event, original, NULL);
    Py_XDECREF(type);
    raise_from(exception, original);
}

void spine_face_raise_unavailable(unsigned long long failures, PyObject *last_error)
{
    PyObject *type = face("BackendUnavailableError"), *exception = NULL;
    if (type)
        exception = PyObject_CallFunction(type, "KO", failures, last_error);
    Py_XDECREF(type);
    raise_from(exception, last_error);
}
