// SPDX-License-Identifier: Apache-2.0
#include "worker/py_state_copy.h"

#include "common/json_scan.h"
#include "common/log.h"
#include "common/state_file.h"
#include "common/state_key.h"
#include "worker/py_json.h"
#include "worker/state_base.h"

#include <errno.h>
#include <math.h>
#include <sys/stat.h>

/*
 * The dict lies over the base: a key is looked for in the dict first, where `gone` says that it is
 * deleted although the base has it.
 */
struct copy {
    PyObject *dict;
    struct state_base base;
    size_t count; /* keys of both */
    uint64_t migrated;
};

static struct copy copy;
static PyObject *gone;
static struct buf scalar_text; /* of the write being encoded */

int py_state_copy_init(void)
{
    copy.dict = PyDict_New();
    gone = PyTuple_New(0); /* no stored value is a tuple */
    return copy.dict && gone ? 0 : -1;
}

/* --- the two layers --- */

/* A stored value from the base moves into the dict: borrowed from there, or NULL. */
static PyObject *take_from_base(struct copy *c, PyObject *key)
{
    struct span name, value;
    Py_ssize_t len;
    if (c->base.count == 0)
        return NULL;
    name.data = PyUnicode_AsUTF8AndSize(key, &len);
    if (!name.data) {
        PyErr_Clear(); /* a lone surrogate: no key has one */
        return NULL;
    }
    name.len = (size_t)len;
    if (!state_base_find(&c->base, name, &value))
        return NULL;
    PyObject *stored = PyBytes_FromStringAndSize(value.data, (Py_ssize_t)value.len);
    int err = stored ? PyDict_SetItem(c->dict, key, stored) : -1;
    Py_XDECREF(stored); /* the dict has it */
    return err < 0 ? NULL : stored;
}

static PyObject *stored_value(struct copy *c, PyObject *key)
{
    PyObject *stored = PyDict_GetItemWithError(c->dict, key);
    if (stored)
        return stored == gone ? NULL : stored;
    return PyErr_Occurred() ? NULL : take_from_base(c, key);
}

static int delete_stored(struct copy *c, PyObject *key)
{
    if (!stored_value(c, key))
        return PyErr_Occurred() ? -1 : 0;
    int err = c->base.count ? PyDict_SetItem(c->dict, key, gone) : PyDict_DelItem(c->dict, key);
    c->count -= err ? 0 : 1;
    return err;
}

static int put_stored(struct copy *c, PyObject *key, PyObject *stored)
{
    bool is_new = !stored_value(c, key);
    if (is_new && PyErr_Occurred())
        return -1;
    int err = PyDict_SetItem(c->dict, key, stored);
    c->count += is_new && !err;
    return err;
}

static int move_entry(struct copy *c, struct span name, struct span value)
{
    PyObject *key = py_text(name.data, name.len);
    PyObject *stored = PyBytes_FromStringAndSize(value.data, (Py_ssize_t)value.len);
    int err = key && stored ? PyDict_Contains(c->dict, key) : -1;
    if (err == 0)
        err = PyDict_SetItem(c->dict, key, stored);
    Py_XDECREF(key);
    Py_XDECREF(stored);
    return err < 0 ? -1 : 0;
}

static int drop_gone(PyObject *dict)
{
    PyObject *keys = PyDict_Keys(dict);
    int err = keys ? 0 : -1;
    for (Py_ssize_t i = 0; !err && i < PyList_GET_SIZE(keys); i++)
        if (PyDict_GetItemWithError(dict, PyList_GET_ITEM(keys, i)) == gone)
            err = PyDict_DelItem(dict, PyList_GET_ITEM(keys, i));
    Py_XDECREF(keys);
    return err;
}

/* Moves the whole base into the dict. */
static int flatten(struct copy *c)
{
    struct span name, value;
    size_t at = 0;
    if (c->base.count == 0)
        return 0;
    while (state_base_next(&c->base, &at, &name, &value))
        if (move_entry(c, name, value) < 0)
            return -1;
    if (drop_gone(c->dict) < 0)
        return -1;
    state_base_free(&c->base);
    return 0;
}

PyObject *py_state_copy_dict(void)
{
    if (flatten(&copy) < 0)
        return NULL;
    Py_INCREF(copy.dict);
    return copy.dict;
}

uint64_t py_state_copy_migrated(void)
{
    return copy.migrated;
}

size_t py_state_copy_count(void)
{
    return copy.count;
}

PyObject *py_state_copy_raw(PyObject *key)
{
    return stored_value(&copy, key);
}

/* --- values --- */

PyObject *py_state_copy_fresh(PyObject *key, PyObject *stored)
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

PyObject *py_state_copy_get(PyObject *key)
{
    PyObject *stored = stored_value(&copy, key);
    if (!stored)
        return NULL;
    Py_INCREF(stored); /* reading may run other code that replaces it */
    PyObject *value = py_state_copy_fresh(key, stored);
    if (value && value != stored && py_json_is_scalar(value) && py_state_copy_put(key, value) < 0)
        Py_CLEAR(value);
    Py_DECREF(stored);
    return value;
}

#define TOO_DEEP "the value is circular or nested too deeply for JSON"

/* json.dumps complains in three ways; state has one. */
static PyObject *as_type_error(void)
{
    if (PyErr_ExceptionMatches(PyExc_RecursionError)) {
        PyErr_Clear();
        PyErr_SetString(PyExc_TypeError, TOO_DEEP);
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

PyObject *py_state_copy_store(PyObject *value)
{
    struct span text;
    if (is_storable_scalar(value)) {
        Py_INCREF(value);
        return value;
    }
    PyObject *owner = py_json_encode(value, &text);
    if (!owner)
        return as_type_error();
    if (!json_scan_valid(text)) { /* the object may have raised the interpreter's own limit */
        Py_DECREF(owner);
        PyErr_SetString(PyExc_TypeError, TOO_DEEP);
        return NULL;
    }
    PyObject *stored = PyBytes_FromStringAndSize(text.data, (Py_ssize_t)text.len);
    Py_DECREF(owner);
    return stored;
}

int py_state_copy_put(PyObject *key, PyObject *stored)
{
    return stored ? put_stored(&copy, key, stored) : delete_stored(&copy, key);
}

void py_state_copy_restore(PyObject *key, PyObject *stored)
{
    PyObject *pending = py_take_exception();
    if (py_state_copy_put(key, stored) < 0)
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

int py_state_copy_encode_write(struct buf *writes, PyObject *key, PyObject *stored)
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

/* A number; anything else counts as none. */
static void note_own(struct copy *c, struct span key, struct span value)
{
    uint64_t number = 0;
    if (value.len > 18 || key.len != STATE_KEY_MIGRATED.len ||
        memcmp(key.data, STATE_KEY_MIGRATED.data, key.len) != 0)
        return;
    for (size_t i = 0; i < value.len && value.data[i] >= '0' && value.data[i] <= '9'; i++)
        number = number * 10 + (uint64_t)(value.data[i] - '0');
    c->migrated = number;
}

static int load_checkpoint(struct copy *c, int fd, struct buf *error)
{
    struct state_file file;
    struct state_file_entry entry;
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_size > 0)
        state_base_reserve(&c->base, (uint64_t)st.st_size);
    int got = state_file_open(&file, fd);
    while (got >= 0 && (got = state_file_next(&file, &entry)) == 1)
        if (state_key_is_own(entry.key))
            note_own(c, entry.key, entry.value);
        else if (!entry.is_tombstone)
            got = state_base_add(&c->base, entry.key, entry.value);
    if (got == -EBADMSG)
        buf_printf(error, "state.tsv, line %llu: %s", (unsigned long long)file.line, file.error);
    else if (got < 0)
        buf_printf(error, "state.tsv: %s", strerror(-got));
    state_file_close(&file);
    if (!got)
        got = state_base_index(&c->base);
    c->count = c->base.count;
    return got;
}

static int load_write(struct copy *c, const struct rpc_write *w)
{
    if (state_key_is_own(w->key)) {
        note_own(c, w->key, w->value);
        return 0;
    }
    PyObject *key = py_text(w->key.data, w->key.len);
    PyObject *stored = w->op == RPC_WRITE_SET
                           ? PyBytes_FromStringAndSize(w->value.data, (Py_ssize_t)w->value.len)
                           : NULL;
    int err = -1;
    if (key && w->op == RPC_WRITE_DELETE)
        err = delete_stored(c, key);
    else if (key && stored)
        err = put_stored(c, key, stored);
    Py_XDECREF(key);
    Py_XDECREF(stored);
    return err;
}

static int load_writes(struct copy *c, struct span writes, struct buf *error)
{
    struct codec_reader r = codec_reader_of(writes.data, writes.len);
    struct rpc_write w;
    while (rpc_write_next(&r, &w)) {
        if (load_write(c, &w) < 0) {
            buf_puts(error, "no memory for the state");
            return -ENOMEM;
        }
    }
    return 0;
}

int py_state_copy_apply(struct span writes, struct buf *error)
{
    return load_writes(&copy, writes, error);
}

static void free_copy(struct copy *c)
{
    Py_XDECREF(c->dict);
    state_base_free(&c->base);
}

int py_state_copy_load(const struct rpc_state *state, int checkpoint_fd, struct buf *error)
{
    struct copy fresh = {.dict = PyDict_New()};
    int err = fresh.dict ? 0 : -ENOMEM;
    if (!err && checkpoint_fd >= 0)
        err = load_checkpoint(&fresh, checkpoint_fd, error);
    if (!err)
        err = load_writes(&fresh, state->writes, error);
    if (err) {
        PyErr_Clear();
        free_copy(&fresh);
        return err;
    }
    struct copy old = copy;
    copy = fresh;
    free_copy(&old);
    return 0;
}
