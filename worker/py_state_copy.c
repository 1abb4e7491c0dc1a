// SPDX-License-Identifier: Apache-2.0
#include "worker/py_state_copy.h"

#include "common/log.h"
#include "common/state_file.h"
#include "worker/py_json.h"
#include "worker/py_state.h"

#include <errno.h>
#include <math.h>

static PyObject *copy;         /* dict */
static struct buf scalar_text; /* of the write being encoded */

int state_copy_init(void)
{
    copy = PyDict_New();
    return copy ? 0 : -1;
}

PyObject *state_copy_dict(void)
{
    Py_INCREF(copy);
    return copy;
}

PyObject *state_copy_raw(PyObject *key)
{
    return PyDict_GetItemWithError(copy, key);
}

PyObject *state_copy_fresh(PyObject *key, PyObject *stored)
{
    if (!PyBytes_CheckExact(stored)) {
        Py_INCREF(stored);
        return stored;
    }
    PyObject *value = py_json_decode(PyBytes_AS_STRING(stored), (size_t)PyBytes_GET_SIZE(stored));
    if (value || !PyErr_ExceptionMatches(PyExc_ValueError))
        return value;
    PyErr_Clear();
    return PyErr_Format(PyExc_RuntimeError, "the stored value of %R is not valid JSON", key);
}

PyObject *state_copy_get(PyObject *key)
{
    PyObject *stored = PyDict_GetItemWithError(copy, key);
    if (!stored)
        return NULL;
    Py_INCREF(stored); /* reading may run other code that replaces it */
    PyObject *value = state_copy_fresh(key, stored);
    if (value && value != stored && py_json_is_scalar(value) && state_copy_put(key, value) < 0)
        Py_CLEAR(value);
    Py_DECREF(stored);
    return value;
}

/* json.dumps complains in three ways; state has one. */
static PyObject *as_type_error(void)
{
    if (PyErr_ExceptionMatches(PyExc_RecursionError)) {
        PyErr_Clear();
        PyErr_SetString(PyExc_TypeError, "the value is circular or nested too deeply for JSON");
    } else if (PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyObject *exception = py_take_exception();
        PyErr_Format(PyExc_TypeError, "not a JSON value: %S", exception);
        Py_XDECREF(exception);
    }
    return NULL;
}

/* Scalars whose text can always be written at the end of the turn. */
static bool is_storable_scalar(PyObject *value)
{
    if (PyLong_CheckExact(value)) {
        int overflow;
        PyLong_AsLongLongAndOverflow(value, &overflow);
        return overflow == 0; /* str() of a very long number raises */
    }
    if (PyFloat_CheckExact(value))
        return isfinite(PyFloat_AS_DOUBLE(value));
    return PyUnicode_CheckExact(value) || PyBool_Check(value) || value == Py_None;
}

PyObject *state_copy_store(PyObject *value)
{
    struct span text;
    if (is_storable_scalar(value)) {
        Py_INCREF(value);
        return value;
    }
    PyObject *owner = py_json_encode(value, &text);
    if (!owner)
        return as_type_error();
    PyObject *stored = PyBytes_FromStringAndSize(text.data, (Py_ssize_t)text.len);
    Py_DECREF(owner);
    return stored;
}

int state_copy_put(PyObject *key, PyObject *stored)
{
    if (stored)
        return PyDict_SetItem(copy, key, stored);
    if (PyDict_DelItem(copy, key) == 0)
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_KeyError))
        return -1;
    PyErr_Clear();
    return 0;
}

void state_copy_restore(PyObject *key, PyObject *stored)
{
    PyObject *pending = py_take_exception();
    if (state_copy_put(key, stored) < 0)
        die(EXIT_CODE_ENVIRONMENT, "no memory to undo a turn");
    if (pending)
        py_raise_again(pending);
}

static int stored_text(PyObject *stored, struct span *text)
{
    if (PyBytes_CheckExact(stored)) {
        *text = (struct span){PyBytes_AS_STRING(stored), (size_t)PyBytes_GET_SIZE(stored)};
        return 0;
    }
    buf_reset(&scalar_text, 4096);
    if (py_json_put_scalar(&scalar_text, stored) < 0)
        return -1;
    if (!buf_ok(&scalar_text)) {
        PyErr_NoMemory();
        return -1;
    }
    *text = (struct span){scalar_text.data, scalar_text.len};
    return 0;
}

int state_copy_encode_write(struct buf *writes, PyObject *key, PyObject *stored)
{
    struct rpc_write w = {.op = stored ? RPC_WRITE_SET : RPC_WRITE_DELETE, .value = {"", 0}};
    Py_ssize_t len;
    w.key.data = PyUnicode_AsUTF8AndSize(key, &len);
    w.key.len = (size_t)len;
    if (!w.key.data || (stored && stored_text(stored, &w.value) < 0))
        return -1;
    rpc_write_encode(writes, &w);
    if (buf_ok(writes))
        return 0;
    PyErr_NoMemory();
    return -1;
}

/* --- loading --- */

static int load_pair(PyObject *dict, struct span key, struct span value)
{
    PyObject *k = PyUnicode_DecodeUTF8(key.data, (Py_ssize_t)key.len, "replace");
    PyObject *v = value.len ? PyBytes_FromStringAndSize(value.data, (Py_ssize_t)value.len) : NULL;
    int err = -1;
    if (k && v)
        err = PyDict_SetItem(dict, k, v);
    else if (k && value.len == 0)
        err = PyDict_Contains(dict, k) == 1 ? PyDict_DelItem(dict, k) : 0;
    Py_XDECREF(k);
    Py_XDECREF(v);
    return err;
}

static int load_checkpoint(PyObject *dict, int fd, struct buf *error)
{
    struct state_file file;
    struct state_file_entry entry;
    int got = state_file_open(&file, fd);
    while (got >= 0 && (got = state_file_next(&file, &entry)) == 1)
        if (load_pair(dict, entry.key, entry.value) < 0)
            got = -ENOMEM;
    if (got == -EBADMSG)
        buf_printf(error, "state.tsv, line %llu: %s", (unsigned long long)file.line, file.error);
    else if (got < 0)
        buf_printf(error, "state.tsv: %s", strerror(-got));
    state_file_close(&file);
    return got;
}

static int load_writes(PyObject *dict, struct span writes, struct buf *error)
{
    struct codec_reader r = codec_reader_of(writes.data, writes.len);
    struct rpc_write w;
    while (rpc_write_next(&r, &w)) {
        if (load_pair(dict, w.key, w.value) < 0) {
            buf_puts(error, "no memory for the state");
            return -ENOMEM;
        }
    }
    return 0;
}

int py_state_load(const struct rpc_state *state, int checkpoint_fd, struct buf *error)
{
    PyObject *dict = PyDict_New();
    if (!dict) {
        PyErr_Clear();
        return -ENOMEM;
    }
    /* A million new objects in a row would have the collector look at them again and again. */
    int was_enabled = PyGC_Disable();
    int err = checkpoint_fd >= 0 ? load_checkpoint(dict, checkpoint_fd, error) : 0;
    if (!err)
        err = load_writes(dict, state->writes, error);
    if (was_enabled)
        PyGC_Enable();
    if (err) {
        PyErr_Clear();
        Py_DECREF(dict);
        return err;
    }
    Py_SETREF(copy, dict);
    return 0;
}
