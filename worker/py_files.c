// SPDX-License-Identifier: Apache-2.0
#include "worker/py_files.h"

#include "worker/file_stage.h"
#include "worker/py_compat.h"
#include "worker/py_scope.h"
#include "worker/py_state.h"

#include <errno.h>
#include <unistd.h>

enum { PIECE = 1024 * 1024 /* of a content that is read from a file-like object */ };

static PyObject *storage;
static PyObject *full_error; /* FilesFull, an OSError with the attribute limit */

/* --- errors --- */

static PyObject *raise_full(const char *limit, const char *text)
{
    PyObject *error = PyObject_CallFunction(full_error, "is", EDQUOT, text);
    PyObject *name = error ? PyUnicode_FromString(limit) : NULL;
    if (name && PyObject_SetAttrString(error, "limit", name) == 0)
        PyErr_SetObject(full_error, error);
    Py_XDECREF(name);
    Py_XDECREF(error);
    return NULL;
}

static PyObject *raise_errno(int err, PyObject *name)
{
    char text[160];
    uint64_t value;
    if (err == -EDQUOT) {
        const char *limit = file_stage_limit(&value);
        snprintf(text, sizeof(text), "the files of the object would be more than limits.%s (%llu)",
                 limit, (unsigned long long)value);
        return raise_full(limit, text);
    }
    if (err == -ENOSPC)
        return raise_full("disk", "no room on the station's disk");
    errno = -err;
    return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
}

const char *py_files_full(PyObject *exception)
{
    if (!exception || !PyObject_IsInstance(exception, full_error)) {
        PyErr_Clear();
        return NULL;
    }
    PyObject *limit = PyObject_GetAttrString(exception, "limit");
    const char *text = limit ? PyUnicode_AsUTF8(limit) : NULL;
    const char *known = !text                                  ? NULL
                        : strcmp(text, "disk") == 0            ? "disk"
                        : strcmp(text, "files_bytes_max") == 0 ? "files_bytes_max"
                                                               : "files_count_max";
    Py_XDECREF(limit);
    PyErr_Clear();
    return known;
}

/* --- names and scopes --- */

/* Borrowed from the str; NULL with an exception when no file may be called so. */
static const char *name_of(PyObject *name)
{
    Py_ssize_t len;
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "a file name is a str, not %.100s", Py_TYPE(name)->tp_name);
        return NULL;
    }
    const char *text = PyUnicode_AsUTF8AndSize(name, &len);
    const char *problem = "it holds lone surrogates";
    if (!text)
        PyErr_Clear();
    else
        problem = file_store_name_problem((struct span){text, (size_t)len});
    if (!problem)
        return text;
    PyErr_Format(PyExc_ValueError, "%R cannot be the name of a file: %s", name, problem);
    return NULL;
}

static bool in_turn(void)
{
    return py_scope_here() != SCOPE_OUTSIDE;
}

static int may_change(void)
{
    if (in_turn())
        return py_state_may_write();
    PyErr_SetString(PyExc_RuntimeError, "files can only be changed within a turn");
    return -1;
}

/* --- putting --- */

static int put_buffer(struct file_stage_put *put, PyObject *content)
{
    Py_buffer view;
    if (PyObject_GetBuffer(content, &view, PyBUF_SIMPLE) < 0)
        return -1;
    int err = file_stage_write(put, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    if (err)
        raise_errno(err, NULL);
    return err ? -1 : 0;
}

static int put_text(struct file_stage_put *put, PyObject *content)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(content, &len);
    int err = text ? file_stage_write(put, text, (size_t)len) : -1;
    if (text && err)
        raise_errno(err, NULL);
    return err ? -1 : 0;
}

static int put_simple(struct file_stage_put *put, PyObject *content)
{
    if (PyUnicode_Check(content))
        return put_text(put, content);
    if (PyObject_CheckBuffer(content))
        return put_buffer(put, content);
    PyErr_Format(PyExc_TypeError,
                 "the content of a file is bytes, str, or an object with read(), not %.100s",
                 Py_TYPE(content)->tp_name);
    return -1;
}

/* A file-like object is read piece by piece. */
static int put_read(struct file_stage_put *put, PyObject *content)
{
    for (;;) {
        PyObject *piece = PyObject_CallMethod(content, "read", "i", PIECE);
        Py_ssize_t len = piece ? PyObject_Length(piece) : -1;
        int err = len > 0 ? put_simple(put, piece) : 0;
        Py_XDECREF(piece);
        if (len <= 0 || err)
            return len < 0 || err ? -1 : 0;
    }
}

static int put_content(struct file_stage_put *put, PyObject *content)
{
    bool is_simple = PyUnicode_Check(content) || PyObject_CheckBuffer(content);
    return !is_simple && PyObject_HasAttrString(content, "read") ? put_read(put, content)
                                                                 : put_simple(put, content);
}

static int put_file(PyObject *name, PyObject *content)
{
    struct file_stage_put put;
    const char *text = name_of(name);
    if (!text || may_change() < 0)
        return -1;
    int err = file_stage_begin(&put, text);
    if (err) {
        raise_errno(err, name);
        return -1;
    }
    if (put_content(&put, content) < 0) {
        file_stage_abandon(&put);
        return -1;
    }
    err = file_stage_end(&put);
    if (err)
        raise_errno(err, name);
    return err ? -1 : 0;
}

/* --- getting --- */

static PyObject *read_all(int fd, const struct stat *st)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)st->st_size);
    size_t done = 0, size = (size_t)st->st_size;
    while (bytes && done < size) {
        ssize_t n = pread(fd, PyBytes_AS_STRING(bytes) + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            Py_CLEAR(bytes);
            raise_errno(n < 0 ? -errno : -EIO, NULL);
            break;
        }
        done += (size_t)n;
    }
    return bytes;
}

/* Its bytes; NULL with FileNotFoundError when there is none. */
static PyObject *get_file(PyObject *name)
{
    struct stat st;
    const char *text = name_of(name);
    if (!text)
        return NULL;
    int fd = file_stage_read(text, in_turn(), &st);
    if (fd < 0)
        return raise_errno(fd, name);
    PyObject *bytes = read_all(fd, &st);
    close(fd);
    return bytes;
}

/* --- methods --- */

static PyObject *storage_put(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"filename", "content", NULL};
    PyObject *name, *content;
    (void)self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:put", names, &name, &content) ||
        put_file(name, content) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *storage_save(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"filename", "content", NULL};
    PyObject *name, *content;
    (void)self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:save", names, &name, &content) ||
        put_file(name, content) < 0)
        return NULL;
    Py_INCREF(name);
    return name;
}

static PyObject *storage_get(PyObject *self, PyObject *name)
{
    (void)self;
    return get_file(name);
}

static PyObject *storage_load(PyObject *self, PyObject *id)
{
    PyObject *content = get_file(id);
    (void)self;
    if (content)
        return Py_BuildValue("{sOsN}", "filename", id, "content", content);
    if (!PyErr_ExceptionMatches(PyExc_FileNotFoundError))
        return NULL;
    PyErr_Clear();
    Py_RETURN_NONE;
}

static PyObject *storage_delete(PyObject *self, PyObject *name)
{
    const char *text = name_of(name);
    (void)self;
    if (!text || may_change() < 0)
        return NULL;
    int deleted = file_stage_delete(text);
    return deleted < 0 ? raise_errno(deleted, name) : PyBool_FromLong(deleted);
}

static PyObject *storage_exists(PyObject *self, PyObject *name)
{
    struct stat st;
    const char *text = name_of(name);
    (void)self;
    if (!text)
        return NULL;
    int err = file_stage_stat(text, in_turn(), &st);
    return err && err != -ENOENT ? raise_errno(err, name) : PyBool_FromLong(err == 0);
}

static int add_entry(void *arg, const char *name, const struct stat *st)
{
    char modified[FILE_STORE_TIME_SIZE];
    file_store_modified(st, modified);
    PyObject *entry = Py_BuildValue("{sssKss}", "name", name, "size",
                                    (unsigned long long)st->st_size, "modified", modified);
    int err = entry ? PyList_Append(arg, entry) : -1;
    Py_XDECREF(entry);
    return err ? -ECANCELED : 0;
}

static PyObject *name_key(PyObject *self, PyObject *entry)
{
    PyObject *name = PyDict_GetItemString(entry, "name");
    (void)self;
    Py_XINCREF(name);
    return name;
}

static PyMethodDef name_key_method = {"name", name_key, METH_O, NULL};

static int sort_by_name(PyObject *list)
{
    PyObject *key = PyCFunction_New(&name_key_method, NULL);
    PyObject *sort = key ? PyObject_GetAttrString(list, "sort") : NULL;
    PyObject *none = PyTuple_New(0), *kwargs = key ? Py_BuildValue("{sO}", "key", key) : NULL;
    PyObject *done = sort && none && kwargs ? PyObject_Call(sort, none, kwargs) : NULL;
    Py_XDECREF(key);
    Py_XDECREF(sort);
    Py_XDECREF(none);
    Py_XDECREF(kwargs);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static PyObject *storage_list(PyObject *self, PyObject *unused)
{
    PyObject *list = PyList_New(0);
    (void)self, (void)unused;
    int err = list ? file_stage_each(in_turn(), add_entry, list) : 0;
    if (err && err != -ENOENT && !PyErr_Occurred())
        raise_errno(err, NULL);
    if (list && (PyErr_Occurred() || sort_by_name(list) < 0))
        Py_CLEAR(list);
    return list;
}

/* --- the end of a turn --- */

int py_files_prepare(struct reply *reply)
{
    int err = file_stage_prepare(reply);
    if (err)
        raise_errno(err, NULL);
    return err ? -1 : 0;
}

/* --- the type --- */

#define METHOD(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef storage_methods[] = {
    {"put", METHOD(storage_put), METH_VARARGS | METH_KEYWORDS,
     "put(filename, content): content is bytes, str, or has read()"},
    {"get", storage_get, METH_O, "get(filename) -> bytes; FileNotFoundError"},
    {"delete", storage_delete, METH_O, "delete(filename) -> was it there"},
    {"list", storage_list, METH_NOARGS, "list() -> [{name, size, modified}], by name"},
    {"exists", storage_exists, METH_O, "exists(filename) -> bool"},
    {"save", METHOD(storage_save), METH_VARARGS | METH_KEYWORDS, "save(filename=, content=) -> id"},
    {"load", storage_load, METH_O, "load(id) -> {filename, content} or None"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject storage_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objectd.Files",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "The files of the object; changes become durable and visible with the turn.",
    .tp_methods = storage_methods,
};

int py_files_init(void)
{
    full_error = PyErr_NewExceptionWithDoc("objectd.FilesFull",
                                           "A limit of the object's files, or the disk, is full.",
                                           PyExc_OSError, NULL);
    if (!full_error || PyType_Ready(&storage_type) < 0)
        return -1;
    storage = PyObject_New(PyObject, &storage_type);
    return storage ? 0 : -1;
}

PyObject *py_files(void)
{
    return storage;
}
