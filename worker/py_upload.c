// SPDX-License-Identifier: Apache-2.0
#include "worker/py_upload.h"

#include <structmember.h>

struct upload {
    PyObject_HEAD PyObject *name;
    PyObject *filename;
    PyObject *content_type;
    PyObject *owner;     /* the whole body */
    struct span content; /* in it */
    PyObject *bytes;     /* content as bytes, once asked for */
    PyObject *file;      /* io.BytesIO over it, once asked for */
};

static struct upload *as_upload(PyObject *self)
{
    return (struct upload *)self;
}

static PyObject *upload_content(PyObject *self, void *closure)
{
    struct upload *u = as_upload(self);
    (void)closure;
    if (!u->bytes)
        u->bytes = PyBytes_FromStringAndSize(u->content.data, (Py_ssize_t)u->content.len);
    Py_XINCREF(u->bytes);
    return u->bytes;
}

static PyObject *upload_file(PyObject *self, void *closure)
{
    struct upload *u = as_upload(self);
    if (!u->file) {
        PyObject *io = PyImport_ImportModule("io");
        PyObject *bytes = io ? upload_content(self, closure) : NULL;
        u->file = bytes ? PyObject_CallMethod(io, "BytesIO", "O", bytes) : NULL;
        Py_XDECREF(bytes);
        Py_XDECREF(io);
    }
    Py_XINCREF(u->file);
    return u->file;
}

static PyObject *upload_size(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromSize_t(as_upload(self)->content.len);
}

static PyObject *upload_read(PyObject *self, PyObject *args)
{
    PyObject *file = upload_file(self, NULL);
    PyObject *read = file ? PyObject_GetAttrString(file, "read") : NULL;
    PyObject *bytes = read ? PyObject_CallObject(read, args) : NULL;
    Py_XDECREF(read);
    Py_XDECREF(file);
    return bytes;
}

static PyObject *upload_repr(PyObject *self)
{
    struct upload *u = as_upload(self);
    return PyUnicode_FromFormat("<upload %R, %zu bytes>", u->filename, u->content.len);
}

static void upload_dealloc(PyObject *self)
{
    struct upload *u = as_upload(self);
    Py_XDECREF(u->name);
    Py_XDECREF(u->filename);
    Py_XDECREF(u->content_type);
    Py_XDECREF(u->owner);
    Py_XDECREF(u->bytes);
    Py_XDECREF(u->file);
    PyObject_Free(self);
}

static PyMethodDef upload_methods[] = {
    {"read", upload_read, METH_VARARGS, "read(n=-1): from .file"},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef upload_members[] = {
    {"name", T_OBJECT, offsetof(struct upload, name), READONLY, "of the form field"},
    {"filename", T_OBJECT, offsetof(struct upload, filename), READONLY, "as the client sent it"},
    {"content_type", T_OBJECT, offsetof(struct upload, content_type), READONLY, "or None"},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef upload_attributes[] = {
    {"content", upload_content, NULL, "the bytes", NULL},
    {"file", upload_file, NULL, "a readable file over them", NULL},
    {"size", upload_size, NULL, "in bytes", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject upload_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objectd.Upload",
    .tp_basicsize = sizeof(struct upload),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A file of a multipart form.",
    .tp_methods = upload_methods,
    .tp_members = upload_members,
    .tp_getset = upload_attributes,
    .tp_repr = upload_repr,
    .tp_dealloc = upload_dealloc,
};

int py_upload_init(void)
{
    return PyType_Ready(&upload_type);
}

PyObject *py_upload_new(PyObject *name, PyObject *filename, struct span content_type,
                        struct span content, PyObject *owner)
{
    struct upload *u = PyObject_New(struct upload, &upload_type);
    if (!u)
        return NULL;
    u->bytes = u->file = NULL;
    u->content = content;
    u->name = name;
    u->filename = filename;
    u->owner = owner;
    Py_INCREF(name);
    Py_INCREF(filename);
    Py_INCREF(owner);
    u->content_type = Py_None;
    Py_INCREF(Py_None);
    if (content_type.len > 0)
        Py_SETREF(u->content_type, py_text(content_type.data, content_type.len));
    if (!u->content_type)
        Py_CLEAR(u);
    return (PyObject *)u;
}
