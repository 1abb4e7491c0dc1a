// SPDX-License-Identifier: Apache-2.0
#include "worker/py_reply.h"

#include "worker/py_json.h"
#include "worker/py_request.h"
#include "worker/py_response.h"
#include "worker/py_stream.h"

#define TYPE_JSON   "application/json; charset=utf-8"
#define TYPE_HTML   "text/html; charset=utf-8"
#define TYPE_TEXT   "text/plain; charset=utf-8"
#define TYPE_BINARY "application/octet-stream"

enum { STATUS_OPEN = 0 /* nobody has set it yet */ };

struct filling {
    struct reply *reply;
    PyObject **stream;
};

static void default_type(struct reply *reply, const char *type)
{
    if (reply->content_type.len == 0)
        reply->content_type = span_of(type);
}

static int own_body(struct reply *reply, PyObject *owner, struct span body, const char *type)
{
    if (!owner)
        return -1;
    reply->body_owner = owner;
    reply->body = body;
    default_type(reply, type);
    return 0;
}

static int put_json(struct reply *reply, PyObject *value)
{
    struct span text = {"", 0};
    return own_body(reply, py_json_encode(value, &text), text, TYPE_JSON);
}

static int put_text(struct reply *reply, PyObject *value)
{
    Py_ssize_t len;
    const char *bytes = PyUnicode_AsUTF8AndSize(value, &len);
    if (bytes) {
        Py_INCREF(value);
        return own_body(reply, value, (struct span){bytes, (size_t)len}, TYPE_HTML);
    }
    PyErr_Clear();
    PyObject *owner = py_utf8_lossy(value);
    struct span text = {"", 0};
    if (owner)
        text = (struct span){PyBytes_AS_STRING(owner), (size_t)PyBytes_GET_SIZE(owner)};
    return own_body(reply, owner, text, TYPE_HTML);
}

static int put_bytes(struct reply *reply, PyObject *value)
{
    PyObject *owner = PyBytes_FromObject(value); /* exact bytes come back as they are */
    struct span bytes = {"", 0};
    if (owner)
        bytes = (struct span){PyBytes_AS_STRING(owner), (size_t)PyBytes_GET_SIZE(owner)};
    return own_body(reply, owner, bytes, TYPE_BINARY);
}

static int put_stream(struct filling *f, PyObject *value)
{
    f->reply->is_stream = true;
    default_type(f->reply, TYPE_TEXT);
    Py_INCREF(value);
    *f->stream = value;
    return 0;
}

static int refuse_type(PyObject *value)
{
    PyErr_Format(PyExc_TypeError, "the handler returned %.100s, which is no reply",
                 Py_TYPE(value)->tp_name);
    return -1;
}

static int put_body(struct filling *f, PyObject *value)
{
    if (PyDict_Check(value) || PyList_Check(value) || PyLong_Check(value) || PyFloat_Check(value))
        return put_json(f->reply, value);
    if (PyUnicode_Check(value))
        return put_text(f->reply, value);
    if (PyBytes_Check(value) || PyByteArray_Check(value) || PyMemoryView_Check(value))
        return put_bytes(f->reply, value);
    if (value == Py_None) {
        if (f->reply->status == STATUS_OPEN)
            f->reply->status = 204;
        return 0;
    }
    return py_stream_accepts(value) ? put_stream(f, value) : refuse_type(value);
}

/* --- {"content_type": …, "body": …} --- */

static bool is_raw(PyObject *dict)
{
    static const char *const known[] = {"content_type", "body", "status", "headers"};
    Py_ssize_t found = 0;
    if (PyDict_GET_SIZE(dict) < 2 || !PyDict_GetItemString(dict, "content_type") ||
        !PyDict_GetItemString(dict, "body"))
        return false;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        found += PyDict_GetItemString(dict, known[i]) != NULL;
    return found == PyDict_GET_SIZE(dict);
}

static int put_raw(struct filling *f, PyObject *dict)
{
    PyObject *status = PyDict_GetItemString(dict, "status");
    PyObject *headers = PyDict_GetItemString(dict, "headers");
    if (status && py_response_put_status(f->reply, status) < 0)
        return -1;
    if (headers && py_response_put_headers(f->reply, headers) < 0)
        return -1;
    if (py_response_put_type(f->reply, PyDict_GetItemString(dict, "content_type")) < 0)
        return -1;
    return put_body(f, PyDict_GetItemString(dict, "body"));
}

/* --- tuples --- */

static bool is_status(PyObject *value)
{
    return PyLong_Check(value) && !PyBool_Check(value);
}

static int put_tuple(struct filling *f, PyObject *tuple)
{
    PyObject *const *items = &PyTuple_GET_ITEM(tuple, 0);
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    if (count == 2 && is_status(items[1])) {
        if (py_response_put_status(f->reply, items[1]) < 0)
            return -1;
        return put_body(f, items[0]);
    }
    if (count == 3 && is_status(items[0])) {
        if (py_response_put_status(f->reply, items[0]) < 0 ||
            (items[1] != Py_None && py_response_put_headers(f->reply, items[1]) < 0))
            return -1;
        return put_body(f, items[2]);
    }
    PyErr_Format(PyExc_TypeError,
                 "the handler returned a tuple of %zd, which is neither (body, status) nor "
                 "(status, headers, body)",
                 count);
    return -1;
}

static int put_result(struct filling *f, PyObject *result)
{
    if (PyTuple_Check(result))
        return put_tuple(f, result);
    if (PyDict_Check(result) && is_raw(result))
        return put_raw(f, result);
    return put_body(f, result);
}

static void drop_forbidden_body(struct reply *reply)
{
    if (reply->status != 204 && reply->status != 304)
        return;
    reply->body = (struct span){"", 0};
    reply->content_type = (struct span){"", 0};
}

int py_reply_fill(struct reply *reply, PyObject *result, PyObject *request, PyObject **stream)
{
    struct filling f = {reply, stream};
    PyObject *response = py_request_response(request);
    *stream = NULL;
    reply->status = STATUS_OPEN;
    if (response && py_response_apply(response, reply) < 0)
        return -1;
    if (put_result(&f, result) < 0)
        return -1;
    if (reply->status == STATUS_OPEN)
        reply->status = 200;
    drop_forbidden_body(reply);
    return 0;
}
