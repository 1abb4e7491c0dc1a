// SPDX-License-Identifier: Apache-2.0
#include "worker/py_endpoint.h"

static int check_function(PyObject *names, const char *key, PyObject *name)
{
    PyObject *function = PyUnicode_Check(name) ? PyDict_GetItemWithError(names, name) : NULL;
    if ((function && PyCallable_Check(function)) || PyErr_Occurred())
        return PyErr_Occurred() ? -1 : 0;
    PyErr_Format(PyExc_TypeError,
                 "__endpoint__[\"%s\"] names %R: it must name functions of the "
                 "module",
                 key, name);
    return -1;
}

/* is_value: the names are the values of the dict, else its keys. */
static int check_functions(PyObject *names, PyObject *endpoint, const char *key, int is_value)
{
    PyObject *table = PyDict_GetItemString(endpoint, key), *item[2];
    if (!table || !PyDict_Check(table))
        return 0;
    for (Py_ssize_t at = 0; PyDict_Next(table, &at, &item[0], &item[1]);)
        if (check_function(names, key, item[is_value]) < 0)
            return -1;
    return 0;
}

static PyObject *value_of(PyObject *names, const char *key)
{
    PyObject *endpoint = PyDict_GetItemString(names, "__endpoint__");
    return endpoint && PyDict_Check(endpoint) ? PyDict_GetItemString(endpoint, key) : NULL;
}

bool py_endpoint_is_stateless(PyObject *names)
{
    return value_of(names, "stateless") == Py_True;
}

bool py_endpoint_is_concurrent(PyObject *names)
{
    PyObject *count = value_of(names, "concurrent");
    bool result = count && PyLong_Check(count) && PyLong_AsLong(count) > 1;
    PyErr_Clear(); /* too large: the supervisor refuses it */
    return result;
}

PyObject *py_endpoint_of(PyObject *names)
{
    PyObject *endpoint = PyDict_GetItemString(names, "__endpoint__");
    if (!endpoint)
        return PyDict_New();
    if (!PyDict_Check(endpoint))
        return PyErr_Format(PyExc_TypeError, "__endpoint__ is a dict, not %.100s",
                            Py_TYPE(endpoint)->tp_name);
    if (check_functions(names, endpoint, "schedule", 0) < 0 ||
        check_functions(names, endpoint, "subscribe", 1) < 0)
        return NULL;
    Py_INCREF(endpoint);
    return endpoint;
}
