// SPDX-License-Identifier: Apache-2.0
#include "worker/py_view.h"

#include "common/buf.h"
#include "worker/py_ask.h"
#include "worker/py_call_error.h"

#include <ctype.h>

/* --- the query --- */

static void put_encoded(struct buf *query, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~' || c == ',')
            buf_putc(query, (char)c);
        else
            buf_printf(query, "%%%02X", c);
    }
}

static int put_text(struct buf *query, PyObject *text)
{
    PyObject *bytes = py_utf8_lossy(text);
    if (!bytes)
        return -1;
    put_encoded(query, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return 0;
}

/* A list of levels becomes "ERROR,WARNING". */
static PyObject *text_of(PyObject *value)
{
    if (!PyList_Check(value) && !PyTuple_Check(value))
        return PyObject_Str(value);
    PyObject *comma = PyUnicode_FromString(",");
    PyObject *text = comma ? PyUnicode_Join(comma, value) : NULL;
    Py_XDECREF(comma);
    return text;
}

/* None: not given. */
static int put_parameter(struct buf *query, PyObject *name, PyObject *value)
{
    if (!value || value == Py_None)
        return 0;
    PyObject *text = text_of(value);
    buf_putc(query, '&');
    int err = text ? put_text(query, name) : -1;
    buf_putc(query, '=');
    if (!err)
        err = put_text(query, text);
    Py_XDECREF(text);
    return err;
}

static int put_named(struct buf *query, const char *name, PyObject *value)
{
    PyObject *text = PyUnicode_FromString(name);
    int err = text ? put_parameter(query, text, value) : -1;
    Py_XDECREF(text);
    return err;
}

/* --- asking --- */

/* The answer's member of that name; a new reference. */
static PyObject *view(const char *function, PyObject *object_id, struct buf *query,
                      const char *member)
{
    struct py_question q = {.kind = RPC_ASK_VIEW,
                            .function = function,
                            .object_id = object_id,
                            .method = "GET",
                            .query = {query->data, query->len}};
    if (!buf_ok(query))
        return PyErr_NoMemory();
    PyObject *answer = py_ask_wait(&q), *found = NULL;
    if (answer && PyDict_Check(answer))
        found = PyDict_GetItemString(answer, member);
    if (answer && !found)
        PyErr_Format(PyExc_RuntimeError, "%s() got an answer without \"%s\"", function, member);
    Py_XINCREF(found);
    Py_XDECREF(answer);
    return found;
}

/* The key is not there: the exception becomes the default. */
static PyObject *or_default(PyObject *value, PyObject *otherwise)
{
    PyObject *not_found = py_call_error_class("ObjectNotFound");
    if (!value && not_found && PyErr_ExceptionMatches(not_found)) {
        PyErr_Clear();
        Py_INCREF(otherwise);
        value = otherwise;
    }
    Py_XDECREF(not_found);
    return value;
}

PyObject *py_view_state(PyObject *object_id, PyObject *key, PyObject *otherwise)
{
    struct buf query = BUF_INIT;
    PyObject *result = NULL;
    buf_puts(&query, "state=true");
    if (!key)
        result = view("get_state", object_id, &query, "state");
    else if (put_named(&query, "key", key) == 0)
        result = or_default(view("get_state", object_id, &query, "value"), otherwise);
    buf_free(&query);
    return result;
}

static int put_filters(struct buf *query, PyObject *kwargs)
{
    PyObject *name, *value;
    int err = 0;
    for (Py_ssize_t at = 0; !err && kwargs && PyDict_Next(kwargs, &at, &name, &value);)
        err = put_parameter(query, name, value);
    return err;
}

PyObject *py_view_logs(PyObject *object_id, PyObject *args, PyObject *kwargs)
{
    /* By keyword they are among the filters, under the names that the station gives them. */
    PyObject *level = NULL, *limit = NULL, *offset = NULL, *result = NULL;
    struct buf query = BUF_INIT;
    if (!PyArg_ParseTuple(args, "|OOO:get_logs", &level, &limit, &offset))
        return NULL;
    buf_puts(&query, "logs=true");
    if (put_named(&query, "level", level) == 0 && put_named(&query, "limit", limit) == 0 &&
        put_named(&query, "offset", offset) == 0 && put_filters(&query, kwargs) == 0)
        result = view("get_logs", object_id, &query, "logs");
    buf_free(&query);
    return result;
}

PyObject *py_view_metadata(PyObject *object_id)
{
    struct buf query = BUF_INIT;
    buf_puts(&query, "metadata=true");
    PyObject *result = view("get_metadata", object_id, &query, "metadata");
    buf_free(&query);
    return result;
}
