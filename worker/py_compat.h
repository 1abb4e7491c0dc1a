// SPDX-License-Identifier: Apache-2.0
/*
 * py_compat - the few C functions of Python that 3.10 to 3.13 name differently. For py_*.c only.
 */
#ifndef WORKER_PY_COMPAT_H
#define WORKER_PY_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

/* The exception being raised as one normalised object with its traceback; NULL when there is none.
 */
static inline PyObject *py_take_exception(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (!type)
        return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback && value)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* Raises it again; steals the reference. */
static inline void py_raise_again(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030c0000
    PyErr_SetRaisedException(exception);
#else
    PyObject *type = (PyObject *)Py_TYPE(exception);
    Py_INCREF(type);
    PyErr_Restore(type, exception, PyException_GetTraceback(exception));
#endif
}

/* Is the interpreter on its way out? A thread that then asks for the GIL ends, or later crashes. */
static inline bool py_is_finalizing(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
}

/* A text in UTF-8 with what cannot be encoded replaced; a new bytes object or NULL. */
static inline PyObject *py_utf8_lossy(PyObject *text)
{
    return PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
}

static inline PyObject *py_text(const char *bytes, size_t len)
{
    return PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)len, "replace");
}

#endif
