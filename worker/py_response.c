// SPDX-License-Identifier: Apache-2.0
#include "worker/py_response.h"

#include <strings.h>
#include <structmember.h>

struct response {
    PyObject_HEAD PyObject *status; /* int or None */
    PyObject *content_type;         /* str or None */
    PyObject *headers;              /* dict */
    PyObject *cookies;              /* list of str, or NULL */
};

/* --- into the reply --- */

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return s.len > 0;
}

static bool is_field_value(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* str, bytes, int or float as text: a new owner, or NULL with an exception. */
static PyObject *text_of(PyObject *value, struct span *text)
{
    PyObject *owner = NULL;
    if (PyBytes_Check(value)) {
        owner = value;
        Py_INCREF(owner);
    } else if (PyUnicode_Check(value)) {
        owner = PyUnicode_AsUTF8String(value);
    } else if (PyLong_Check(value) || PyFloat_Check(value)) {
        PyObject *shown = PyObject_Str(value);
        owner = shown ? PyUnicode_AsUTF8String(shown) : NULL;
        Py_XDECREF(shown);
    } else {
        PyErr_Format(PyExc_TypeError, "a header is text or a number, not %.100s",
                     Py_TYPE(value)->tp_name);
    }
    if (owner)
        *text = (struct span){PyBytes_AS_STRING(owner), (size_t)PyBytes_GET_SIZE(owner)};
    return owner;
}

static int set_type(struct reply *reply, struct span text)
{
    if (!is_field_value(text)) {
        PyErr_SetString(PyExc_ValueError, "control characters in the content type");
        return -1;
    }
    buf_reset(&reply->owned_type, 256);
    buf_append(&reply->owned_type, text.data, text.len);
    reply->content_type = (struct span){reply->owned_type.data, reply->owned_type.len};
    return 0;
}

int py_response_put_type(struct reply *reply, PyObject *content_type)
{
    struct span text;
    PyObject *owner = text_of(content_type, &text);
    int err = owner ? set_type(reply, text) : -1;
    Py_XDECREF(owner);
    return err;
}

int py_response_put_status(struct reply *reply, PyObject *status)
{
    long code = PyLong_Check(status) ? PyLong_AsLong(status) : -1;
    if (code < 200 || code > 599) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "a status is a number from 200 to 599, not %R", status);
        return -1;
    }
    reply->status = (uint32_t)code;
    return 0;
}

static bool is_of_the_connection(struct span name)
{
    static const char *const names[] = {
        "content-length", "transfer-encoding", "connection", "keep-alive",
        "upgrade",        "trailer",           "te",         "date"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (name.len == strlen(names[i]) && strncasecmp(name.data, names[i], name.len) == 0)
            return true;
    return false;
}

static int put_field(struct reply *reply, struct span name, struct span value)
{
    if (!is_token(name) || !is_field_value(value)) {
        PyErr_Format(PyExc_ValueError, "header %.100s cannot be sent: bad characters",
                     name.len ? name.data : "''");
        return -1;
    }
    if (name.len == 12 && strncasecmp(name.data, "content-type", 12) == 0)
        return set_type(reply, value);
    if (!is_of_the_connection(name))
        reply_add_field(reply, name, value);
    return 0;
}

static int put_one(struct reply *reply, struct span name, PyObject *value)
{
    struct span text;
    PyObject *owner = text_of(value, &text);
    int err = owner ? put_field(reply, name, text) : -1;
    Py_XDECREF(owner);
    return err;
}

int py_response_put_header(struct reply *reply, PyObject *name, PyObject *value)
{
    struct span name_text;
    PyObject *owner = text_of(name, &name_text);
    int err = owner ? 0 : -1;
    if (owner && (PyList_Check(value) || PyTuple_Check(value))) {
        PyObject *list = PySequence_Fast(value, "");
        err = list ? 0 : -1;
        for (Py_ssize_t i = 0; !err && i < PySequence_Fast_GET_SIZE(list); i++)
            err = put_one(reply, name_text, PySequence_Fast_GET_ITEM(list, i));
        Py_XDECREF(list);
    } else if (owner) {
        err = put_one(reply, name_text, value);
    }
    Py_XDECREF(owner);
    return err;
}

static int put_pair(struct reply *reply, PyObject *pair)
{
    PyObject *both = PySequence_Fast(pair, "headers are a dict or a list of pairs");
    int err = -1;
    if (both && PySequence_Fast_GET_SIZE(both) == 2)
        err = py_response_put_header(reply, PySequence_Fast_GET_ITEM(both, 0),
                                     PySequence_Fast_GET_ITEM(both, 1));
    else if (both)
        PyErr_SetString(PyExc_TypeError, "headers are a dict or a list of pairs");
    Py_XDECREF(both);
    return err;
}

int py_response_put_headers(struct reply *reply, PyObject *headers)
{
    PyObject *pairs = PyDict_Check(headers) ? PyDict_Items(headers) : PySequence_List(headers);
    int err = pairs ? 0 : -1;
    for (Py_ssize_t i = 0; !err && i < PyList_GET_SIZE(pairs); i++)
        err = put_pair(reply, PyList_GET_ITEM(pairs, i));
    Py_XDECREF(pairs);
    return err;
}

static bool is_given(PyObject *attribute)
{
    return attribute && attribute != Py_None;
}

int py_response_apply(PyObject *self, struct reply *reply)
{
    struct response *r = (struct response *)self;
    if (is_given(r->status) && py_response_put_status(reply, r->status) < 0)
        return -1;
    if (is_given(r->content_type) && py_response_put_type(reply, r->content_type) < 0)
        return -1;
    if (py_response_put_headers(reply, r->headers) < 0)
        return -1;
    for (Py_ssize_t i = 0; r->cookies && i < PyList_GET_SIZE(r->cookies); i++)
        if (put_one(reply, span_of("Set-Cookie"), PyList_GET_ITEM(r->cookies, i)) < 0)
            return -1;
    return 0;
}

/* --- cookies --- */

static int check_cookie_part(const char *what, PyObject *text, const char *forbidden)
{
    const char *bytes = PyUnicode_AsUTF8(text);
    if (!bytes)
        return -1;
    for (const unsigned char *c = (const unsigned char *)bytes; *c; c++) {
        if (*c < ' ' || *c == 0x7f || strchr(forbidden, *c)) {
            PyErr_Format(PyExc_ValueError, "the %s of a cookie must not contain %R", what, text);
            return -1;
        }
    }
    return 0;
}

/* cookie += "; " name ["=" value]; 0 or -1. */
static int add_attribute(PyObject **cookie, const char *name, PyObject *value)
{
    PyObject *longer = value ? PyUnicode_FromFormat("%U; %s=%S", *cookie, name, value)
                             : PyUnicode_FromFormat("%U; %s", *cookie, name);
    if (!longer)
        return -1;
    Py_SETREF(*cookie, longer);
    return 0;
}

struct cookie_options {
    PyObject *max_age, *expires, *path, *domain, *samesite;
    int secure, httponly;
};

static int add_text_attribute(PyObject **cookie, const char *name, PyObject *value)
{
    if (!value || value == Py_None)
        return 0;
    PyObject *text = PyObject_Str(value);
    int err = text ? check_cookie_part(name, text, ";") : -1;
    if (!err)
        err = add_attribute(cookie, name, text);
    Py_XDECREF(text);
    return err;
}

static int add_options(PyObject **cookie, const struct cookie_options *o)
{
    if (add_text_attribute(cookie, "Max-Age", o->max_age) < 0 ||
        add_text_attribute(cookie, "Expires", o->expires) < 0 ||
        add_text_attribute(cookie, "Path", o->path) < 0 ||
        add_text_attribute(cookie, "Domain", o->domain) < 0 ||
        add_text_attribute(cookie, "SameSite", o->samesite) < 0)
        return -1;
    if (o->secure && add_attribute(cookie, "Secure", NULL) < 0)
        return -1;
    return o->httponly ? add_attribute(cookie, "HttpOnly", NULL) : 0;
}

static int keep_cookie(struct response *r, PyObject *cookie)
{
    if (!r->cookies && !(r->cookies = PyList_New(0)))
        return -1;
    return PyList_Append(r->cookies, cookie);
}

static PyObject *response_set_cookie(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name",   "value",  "max_age",  "expires",  "path",
                            "domain", "secure", "httponly", "samesite", NULL};
    PyObject *name, *value = NULL;
    PyObject *root = PyUnicode_FromString("/");
    struct cookie_options o = {.path = root};
    PyObject *cookie = NULL;
    int err = -1;
    if (root && PyArg_ParseTupleAndKeywords(args, kwargs, "U|OOOOOppO:set_cookie", names, &name,
                                            &value, &o.max_age, &o.expires, &o.path, &o.domain,
                                            &o.secure, &o.httponly, &o.samesite)) {
        PyObject *text = value ? PyObject_Str(value) : PyUnicode_New(0, 0);
        if (text && check_cookie_part("name", name, "=;, \t\"") == 0 &&
            check_cookie_part("value", text, ";,\" \\") == 0)
            cookie = PyUnicode_FromFormat("%U=%U", name, text);
        Py_XDECREF(text);
    }
    if (cookie && add_options(&cookie, &o) == 0)
        err = keep_cookie((struct response *)self, cookie);
    Py_XDECREF(cookie);
    Py_XDECREF(root);
    if (err < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* --- the type --- */

static int response_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct response *r = (struct response *)self;
    Py_VISIT(r->status);
    Py_VISIT(r->content_type);
    Py_VISIT(r->headers);
    Py_VISIT(r->cookies);
    return 0;
}

static int response_clear(PyObject *self)
{
    struct response *r = (struct response *)self;
    Py_CLEAR(r->status);
    Py_CLEAR(r->content_type);
    Py_CLEAR(r->headers);
    Py_CLEAR(r->cookies);
    return 0;
}

static void response_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    response_clear(self);
    PyObject_GC_Del(self);
}

static PyMethodDef response_methods[] = {
    {"set_cookie", (PyCFunction)(void (*)(void))response_set_cookie, METH_VARARGS | METH_KEYWORDS,
     "set_cookie(name, value='', max_age=None, expires=None, path='/', domain=None, "
     "secure=False, httponly=False, samesite=None)"},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef response_members[] = {
    {"status", T_OBJECT, offsetof(struct response, status), 0, "status, or None for the usual"},
    {"status_code", T_OBJECT, offsetof(struct response, status), 0, "the same"},
    {"content_type", T_OBJECT, offsetof(struct response, content_type), 0, "or None"},
    {"headers", T_OBJECT, offsetof(struct response, headers), READONLY, "a dict"},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject response_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objectd.Response",
    .tp_basicsize = sizeof(struct response),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "What the reply carries besides its body.",
    .tp_methods = response_methods,
    .tp_members = response_members,
    .tp_traverse = response_traverse,
    .tp_clear = response_clear,
    .tp_dealloc = response_dealloc,
};

int py_response_init(void)
{
    return PyType_Ready(&response_type);
}

PyObject *py_response_new(void)
{
    struct response *r = PyObject_GC_New(struct response, &response_type);
    if (!r)
        return NULL;
    r->status = Py_None;
    r->content_type = Py_None;
    Py_INCREF(Py_None);
    Py_INCREF(Py_None);
    r->headers = PyDict_New();
    r->cookies = NULL;
    PyObject_GC_Track((PyObject *)r);
    if (!r->headers)
        Py_CLEAR(r);
    return (PyObject *)r;
}
