// SPDX-License-Identifier: Apache-2.0
#include "worker/py_request_parts.h"

#include "common/head.h"
#include "common/memfd.h"
#include "common/multipart.h"
#include "common/urlencoded.h"
#include "worker/py_upload.h"

#include <string.h>

enum { PAIRS_MAX = 10000, PARTS_MAX = 1000 };

static PyObject *body_type; /* bytes with read() */
static PyTypeObject headers_type;

/* --- text --- */

PyObject *py_request_parts_text(struct span text, bool plus_is_blank)
{
    char small[512];
    if (urlencoded_is_plain(text, plus_is_blank))
        return py_text(text.data, text.len);
    char *out = text.len <= sizeof(small) ? small : PyMem_Malloc(text.len);
    if (!out)
        return PyErr_NoMemory();
    PyObject *decoded = py_text(out, urlencoded_decode(text, plus_is_blank, out));
    if (out != small)
        PyMem_Free(out);
    return decoded;
}

static PyObject *unquoted(struct span text)
{
    char *out = PyMem_Malloc(text.len + 1);
    if (!out)
        return PyErr_NoMemory();
    PyObject *result = py_text(out, head_unquote(text, out));
    PyMem_Free(out);
    return result;
}

static int append_and_drop(PyObject *list, PyObject *item)
{
    int err = item ? PyList_Append(list, item) : -1;
    Py_XDECREF(item);
    return err;
}

PyObject *py_request_parts_segments(struct span path)
{
    PyObject *list = PyList_New(0);
    size_t start = 0;
    for (size_t i = 0; list && i <= path.len; i++) {
        if (i < path.len && path.data[i] != '/')
            continue;
        struct span segment = {path.data + start, i - start};
        if (segment.len > 0 && append_and_drop(list, py_request_parts_text(segment, false)) < 0)
            Py_CLEAR(list);
        start = i + 1;
    }
    return list;
}

/* --- pairs --- */

static int append_pair(PyObject *list, PyObject *name, PyObject *value)
{
    PyObject *pair = name && value ? PyTuple_Pack(2, name, value) : NULL;
    Py_XDECREF(name);
    Py_XDECREF(value);
    return append_and_drop(list, pair);
}

PyObject *py_request_parts_pairs(struct span text)
{
    PyObject *list = PyList_New(0);
    struct urlencoded u = {text};
    struct span name, value;
    while (list && urlencoded_next(&u, &name, &value)) {
        if (PyList_GET_SIZE(list) == PAIRS_MAX) {
            PyErr_Format(PyExc_ValueError, "more than %d parameters", PAIRS_MAX);
            Py_CLEAR(list);
        } else if (append_pair(list, py_request_parts_text(name, true),
                               py_request_parts_text(value, true)) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

PyObject *py_request_parts_dict(PyObject *pairs)
{
    PyObject *dict = PyDict_New();
    if (dict && PyDict_MergeFromSeq2(dict, pairs, 1) < 0)
        Py_CLEAR(dict);
    return dict;
}

/* --- headers --- */

static PyObject *lower(PyObject *name)
{
    if (!PyUnicode_Check(name)) {
        Py_INCREF(name);
        return name;
    }
    return PyObject_CallMethod(name, "lower", NULL);
}

/* Borrowed value; NULL without an exception when it is missing. */
static PyObject *find_header(PyObject *self, PyObject *name)
{
    PyObject *key = lower(name);
    PyObject *value = key ? PyDict_GetItemWithError(self, key) : NULL;
    Py_XDECREF(key);
    return value;
}

static PyObject *headers_subscript(PyObject *self, PyObject *name)
{
    PyObject *value = find_header(self, name);
    if (!value && !PyErr_Occurred())
        PyErr_SetObject(PyExc_KeyError, name);
    Py_XINCREF(value);
    return value;
}

static int headers_contains(PyObject *self, PyObject *name)
{
    PyObject *value = find_header(self, name);
    return value ? 1 : PyErr_Occurred() ? -1 : 0;
}

static PyObject *headers_get(PyObject *self, PyObject *args)
{
    PyObject *name, *otherwise = Py_None;
    if (!PyArg_ParseTuple(args, "O|O:get", &name, &otherwise))
        return NULL;
    PyObject *value = find_header(self, name);
    if (!value && PyErr_Occurred())
        return NULL;
    value = value ? value : otherwise;
    Py_INCREF(value);
    return value;
}

static PyMethodDef headers_methods[] = {
    {"get", headers_get, METH_VARARGS, "get(name, default=None)"},
    {NULL, NULL, 0, NULL},
};

static PyMappingMethods headers_mapping = {.mp_subscript = headers_subscript};
static PySequenceMethods headers_sequence = {.sq_contains = headers_contains};

static PyTypeObject headers_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objectd.Headers",
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Header fields by name, in any case.",
    .tp_methods = headers_methods,
    .tp_as_mapping = &headers_mapping,
    .tp_as_sequence = &headers_sequence,
};

static int add_header(PyObject *headers, struct span name, struct span value)
{
    PyObject *raw = py_text(name.data, name.len);
    PyObject *key = raw ? lower(raw) : NULL;
    PyObject *text = py_text(value.data, value.len);
    int err = -1;
    if (key && text) {
        PyObject *earlier = PyDict_GetItemWithError(headers, key);
        const char *glue = head_name_is(name, "cookie") ? "; " : ", ";
        if (earlier)
            Py_SETREF(text, PyUnicode_FromFormat("%U%s%U", earlier, glue, text));
        err = text ? PyDict_SetItem(headers, key, text) : -1;
    }
    Py_XDECREF(raw);
    Py_XDECREF(key);
    Py_XDECREF(text);
    return err;
}

PyObject *py_request_parts_headers(struct span head)
{
    PyObject *headers = PyObject_CallNoArgs((PyObject *)&headers_type);
    struct span name, value;
    while (headers && head_next(&head, &name, &value))
        if (add_header(headers, name, value) < 0)
            Py_CLEAR(headers);
    return headers;
}

static int add_cookie(PyObject *cookies, struct span name, struct span value)
{
    PyObject *key = py_text(name.data, name.len), *text = py_text(value.data, value.len);
    int err = key && text ? PyDict_SetItem(cookies, key, text) : -1;
    Py_XDECREF(key);
    Py_XDECREF(text);
    return err;
}

PyObject *py_request_parts_cookies(struct span head)
{
    PyObject *cookies = PyDict_New();
    struct span name, line, value;
    while (cookies && head_next(&head, &name, &line)) {
        if (!head_name_is(name, "cookie"))
            continue;
        while (cookies && head_next_cookie(&line, &name, &value))
            if (add_cookie(cookies, name, value) < 0)
                Py_CLEAR(cookies);
    }
    return cookies;
}

/* --- the body --- */

static PyObject *body_read(PyObject *self, PyObject *args)
{
    Py_ssize_t wanted = -1, size = PyBytes_GET_SIZE(self);
    if (!PyArg_ParseTuple(args, "|n:read", &wanted))
        return NULL;
    PyObject *kept = PyObject_GetAttrString(self, "_position");
    Py_ssize_t at = kept ? PyLong_AsSsize_t(kept) : 0;
    Py_XDECREF(kept);
    PyErr_Clear();
    if (at < 0 || at > size)
        at = size;
    Py_ssize_t len = wanted < 0 || wanted > size - at ? size - at : wanted;
    PyObject *position = PyLong_FromSsize_t(at + len);
    int err = position ? PyObject_SetAttrString(self, "_position", position) : -1;
    Py_XDECREF(position);
    return err < 0 ? NULL : PyBytes_FromStringAndSize(PyBytes_AS_STRING(self) + at, len);
}

static PyMethodDef body_read_method = {"read", body_read, METH_VARARGS,
                                       "read(n=-1): the next n bytes, or all that is left"};

static int init_body_type(void)
{
    body_type = PyObject_CallFunction((PyObject *)&PyType_Type, "s(O){}", "Body", &PyBytes_Type);
    PyObject *method =
        body_type ? PyDescr_NewMethod((PyTypeObject *)body_type, &body_read_method) : NULL;
    int err = method ? PyObject_SetAttrString(body_type, "read", method) : -1;
    Py_XDECREF(method);
    return err;
}

/* No hash computed yet: the field is deprecated for readers, yet every maker of bytes has to set
 * it.
 */
static void forget_hash(PyObject *bytes)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    ((PyBytesObject *)bytes)->ob_shash = -1;
#pragma GCC diagnostic pop
}

/* Allocated as bytes.__new__ would for a subclass, and filled in place: large bodies lie here once.
 */
PyObject *py_request_parts_body(struct span bytes, int fd, uint64_t size)
{
    size_t len = fd >= 0 ? (size_t)size : bytes.len;
    PyTypeObject *type = (PyTypeObject *)body_type;
    PyObject *body = type->tp_alloc(type, (Py_ssize_t)len);
    if (!body)
        return NULL;
    char *dest = PyBytes_AS_STRING(body);
    forget_hash(body);
    int err = 0;
    if (fd >= 0)
        err = memfd_read(fd, dest, len);
    else if (len > 0)
        memcpy(dest, bytes.data, len);
    dest[len] = '\0';
    if (err) {
        Py_DECREF(body);
        return PyErr_Format(PyExc_OSError, "reading the body: %s", strerror(-err));
    }
    return body;
}

/* --- multipart --- */

static PyObject *filename_of(const struct multipart_part *part)
{
    return part->filename_is_encoded ? py_request_parts_text(part->filename, false)
                                     : unquoted(part->filename);
}

static int add_file(PyObject *files, const struct multipart_part *part, PyObject *owner)
{
    PyObject *name = unquoted(part->name), *filename = name ? filename_of(part) : NULL;
    PyObject *upload =
        filename ? py_upload_new(name, filename, part->content_type, part->content, owner) : NULL;
    int err = upload ? PyDict_SetItem(files, name, upload) : -1;
    Py_XDECREF(name);
    Py_XDECREF(filename);
    Py_XDECREF(upload);
    return err;
}

static int add_field(PyObject *fields, const struct multipart_part *part)
{
    return append_pair(fields, unquoted(part->name),
                       py_text(part->content.data, part->content.len));
}

static int read_parts(struct multipart *m, struct span rest, PyObject *owner, PyObject *fields,
                      PyObject *files)
{
    struct multipart_part part;
    int got;
    for (size_t count = 0; (got = multipart_next(m, &rest, &part)) == 1; count++) {
        if (count == PARTS_MAX) {
            PyErr_Format(PyExc_ValueError, "more than %d parts", PARTS_MAX);
            return -1;
        }
        if ((part.has_filename ? add_file(files, &part, owner) : add_field(fields, &part)) < 0)
            return -1;
    }
    if (got < 0)
        PyErr_Format(PyExc_ValueError, "malformed multipart body: %s", m->error);
    return got;
}

int py_request_parts_multipart(PyObject *owner, struct span content_type, PyObject **fields,
                               PyObject **files)
{
    struct span body = {PyBytes_AS_STRING(owner), (size_t)PyBytes_GET_SIZE(owner)};
    struct multipart m;
    if (multipart_open(&m, content_type) < 0) {
        PyErr_Format(PyExc_ValueError, "malformed multipart body: %s", m.error);
        return -1;
    }
    *fields = PyList_New(0);
    *files = PyDict_New();
    if (*fields && *files && read_parts(&m, body, owner, *fields, *files) == 0)
        return 0;
    Py_CLEAR(*fields);
    Py_CLEAR(*files);
    return -1;
}

int py_request_parts_init(void)
{
    headers_type.tp_base = &PyDict_Type;
    if (PyType_Ready(&headers_type) < 0 || py_upload_init() < 0)
        return -1;
    return init_body_type();
}
