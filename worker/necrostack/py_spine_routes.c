// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_spine_routes.h"

/* It may be of any class, but not a class: that is a forgotten pair of parentheses. */
static int check_organ(PyObject *organ)
{
    PyObject *handle;
    int callable;
    if (PyType_Check(organ)) {
        PyErr_Format(PyExc_TypeError, "organs must hold organs, not the class %.100s",
                     ((PyTypeObject *)organ)->tp_name);
        return -1;
    }
    handle = PyObject_GetAttrString(organ, "handle");
    callable = handle && PyCallable_Check(handle);
    Py_XDECREF(handle);
    if (!callable && (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_AttributeError)))
        PyErr_Format(PyExc_TypeError, "organs must hold organs: %.100s has no method handle",
                     Py_TYPE(organ)->tp_name);
    return callable ? 0 : -1;
}

/* Its listens_to, or an empty list; NULL and TypeError. */
static PyObject *types_of(PyObject *organ)
{
    PyObject *types = PyObject_GetAttrString(organ, "listens_to");
    if (!types && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        return PyList_New(0);
    }
    if (types && !PyList_Check(types)) {
        PyErr_Format(PyExc_TypeError, "%.100s.listens_to must be a list of strings, not %.100s",
                     Py_TYPE(organ)->tp_name, Py_TYPE(types)->tp_name);
        Py_CLEAR(types);
    }
    return types;
}

/*
 * Of an entry of listens_to. A subclass of str (an Enum's) counts by its text: its own __hash__ and
 * __eq__ would be asked for every event, and could change the list while we read it.
 */
static PyObject *exact_type(PyObject *organ, PyObject *type)
{
    if (PyUnicode_Check(type))
        return PyUnicode_FromObject(type);
    PyErr_Format(PyExc_TypeError, "%.100s.listens_to must be a list of strings, it holds %.100s",
                 Py_TYPE(organ)->tp_name, Py_TYPE(type)->tp_name);
    return NULL;
}

/* Appends the organ to the list of the type, unless this organ's turn has done so already. */
static int add_route(PyObject *routes, PyObject *type, PyObject *organ, PyObject *seen)
{
    PyObject *list;
    int known = PySet_Contains(seen, type), failed;
    if (known)
        return known < 0 ? -1 : 0;
    list = PyDict_GetItemWithError(routes, type);
    if (list)
        return PyList_Append(list, organ) || PySet_Add(seen, type) ? -1 : 0;
    if (PyErr_Occurred() || !(list = PyList_New(0)))
        return -1;
    failed =
        PyList_Append(list, organ) || PyDict_SetItem(routes, type, list) || PySet_Add(seen, type);
    Py_DECREF(list);
    return failed ? -1 : 0;
}

static int add_organ(PyObject *routes, PyObject *organ)
{
    PyObject *types = check_organ(organ) ? NULL : types_of(organ);
    PyObject *seen = types ? PySet_New(NULL) : NULL;
    int failed = !seen;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(types); i++) {
        PyObject *type = exact_type(organ, PyList_GET_ITEM(types, i));
        failed = !type || add_route(routes, type, organ, seen);
        Py_XDECREF(type);
    }
    Py_XDECREF(seen);
    Py_XDECREF(types);
    return failed ? -1 : 0;
}

/* Tuples cost nothing to look into, and nobody can change them. */
static int freeze(PyObject *routes)
{
    PyObject *types = PyDict_Keys(routes);
    int failed = !types;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(types); i++) {
        PyObject *type = PyList_GET_ITEM(types, i);
        PyObject *organs = PyList_AsTuple(PyDict_GetItemWithError(routes, type));
        failed = !organs || PyDict_SetItem(routes, type, organs);
        Py_XDECREF(organs);
    }
    Py_XDECREF(types);
    return failed ? -1 : 0;
}

PyObject *spine_routes_make(PyObject *organs)
{
    PyObject *routes = PyDict_New();
    int failed = !routes;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(organs); i++)
        failed = add_organ(routes, PyList_GET_ITEM(organs, i));
    if (failed || freeze(routes))
        Py_CLEAR(routes);
    return routes;
}
