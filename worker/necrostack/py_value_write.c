// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_value_write.h"

#include <math.h>

#include "common/events/event.h"
#include "common/json_text.h"

static enum py_value_written write_value(struct buf *out, PyObject *value, int depth);

static enum py_value_written write_text(struct buf *out, PyObject *text)
{
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        json_put_string(out, PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
        return PY_VALUE_WRITTEN;
    }
    PyObject *utf8 = PyUnicode_AsUTF8String(text);
    if (utf8)
        json_put_string(out, PyBytes_AS_STRING(utf8), (size_t)PyBytes_GET_SIZE(utf8));
    else if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
        PyErr_Clear(); /* a lone surrogate */
    else
        return PY_VALUE_ERROR;
    Py_XDECREF(utf8);
    return utf8 ? PY_VALUE_WRITTEN : PY_VALUE_FOREIGN;
}

static enum py_value_written write_huge(struct buf *out, PyObject *number)
{
    PyObject *digits = PyLong_Type.tp_repr(number);
    if (digits)
        buf_append(out, PyUnicode_DATA(digits), (size_t)PyUnicode_GET_LENGTH(digits));
    else if (PyErr_ExceptionMatches(PyExc_ValueError))
        PyErr_Clear(); /* more digits than Python prints */
    else
        return PY_VALUE_ERROR;
    Py_XDECREF(digits);
    return digits ? PY_VALUE_WRITTEN : PY_VALUE_FOREIGN;
}

static enum py_value_written write_int(struct buf *out, PyObject *number)
{
    int overflow;
    long value = PyLong_AsLongAndOverflow(number, &overflow);
    if (overflow)
        return write_huge(out, number);
    char digits[24], *at = digits + sizeof(digits);
    unsigned long rest = value < 0 ? 0ul - (unsigned long)value : (unsigned long)value;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    buf_append(out, at, (size_t)(digits + sizeof(digits) - at));
    return PY_VALUE_WRITTEN;
}

static enum py_value_written write_float(struct buf *out, PyObject *number)
{
    double value = PyFloat_AS_DOUBLE(number);
    if (!isfinite(value))
        return PY_VALUE_FOREIGN;
    char *text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (!text)
        return PY_VALUE_ERROR;
    buf_puts(out, text);
    PyMem_Free(text);
    return PY_VALUE_WRITTEN;
}

static enum py_value_written write_list(struct buf *out, PyObject *list, int depth)
{
    enum py_value_written written = PY_VALUE_WRITTEN;
    buf_putc(out, '[');
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list) && written == PY_VALUE_WRITTEN; i++) {
        if (i > 0)
            buf_putc(out, ',');
        written = write_value(out, PyList_GET_ITEM(list, i), depth);
    }
    buf_putc(out, ']');
    return written;
}

static enum py_value_written write_dict(struct buf *out, PyObject *dict, int depth)
{
    enum py_value_written written = PY_VALUE_WRITTEN;
    Py_ssize_t position = 0;
    PyObject *key, *value;
    bool first = true;
    buf_putc(out, '{');
    while (written == PY_VALUE_WRITTEN && PyDict_Next(dict, &position, &key, &value)) {
        if (!first)
            buf_putc(out, ',');
        first = false;
        written = PyUnicode_CheckExact(key) ? write_text(out, key) : PY_VALUE_FOREIGN;
        buf_putc(out, ':');
        if (written == PY_VALUE_WRITTEN)
            written = write_value(out, value, depth);
    }
    buf_putc(out, '}');
    return written;
}

static enum py_value_written write_value(struct buf *out, PyObject *value, int depth)
{
    if (PyUnicode_CheckExact(value))
        return write_text(out, value);
    if (PyLong_CheckExact(value))
        return write_int(out, value);
    if (value == Py_None || PyBool_Check(value)) {
        buf_puts(out, value == Py_None ? "null" : value == Py_True ? "true" : "false");
        return PY_VALUE_WRITTEN;
    }
    if (PyFloat_CheckExact(value))
        return write_float(out, value);
    if (depth == EVENT_DEPTH_MAX)
        return PY_VALUE_FOREIGN;
    if (PyDict_CheckExact(value))
        return write_dict(out, value, depth + 1);
    if (PyList_CheckExact(value))
        return write_list(out, value, depth + 1);
    return PY_VALUE_FOREIGN;
}

enum py_value_written py_value_write(struct buf *out, PyObject *value)
{
    return write_value(out, value, 0);
}
