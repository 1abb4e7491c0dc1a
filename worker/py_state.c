// SPDX-License-Identifier: Apache-2.0
#include "worker/py_state.h"

#include "worker/py_compat.h"
#include "worker/py_json.h"
#include "worker/py_outside.h"
#include "worker/py_scope.h"
#include "worker/py_state_copy.h"

#include <errno.h>

enum { LINEAR_MAX = 8 /* keys of a turn up to which a list is faster than a table */ };

struct undo {
    PyObject *key;
    PyObject *old; /* NULL: the key was not there */
};

static struct {
    PyObject *manager;
    struct undo *undo; /* one entry a key that the running turn has written */
    size_t undo_count, undo_cap;
    PyObject *touched; /* set of those keys once they are many */
    uint64_t writes_max;
    enum state_role role;
    bool is_readonly; /* the running turn */
} state = {.writes_max = UINT64_MAX};

/* --- the undo log --- */

static int is_recorded(PyObject *key)
{
    if (state.touched)
        return PySet_Contains(state.touched, key);
    for (size_t i = 0; i < state.undo_count; i++) {
        if (state.undo[i].key == key)
            return 1;
        int same = PyObject_RichCompareBool(state.undo[i].key, key, Py_EQ);
        if (same)
            return same;
    }
    return 0;
}

static int remember_touched(PyObject *key)
{
    if (state.touched)
        return PySet_Add(state.touched, key);
    if (state.undo_count < LINEAR_MAX)
        return 0;
    state.touched = PySet_New(NULL);
    for (size_t i = 0; state.touched && i < state.undo_count; i++)
        if (PySet_Add(state.touched, state.undo[i].key) < 0)
            return -1;
    return state.touched ? PySet_Add(state.touched, key) : -1;
}

static int grow_undo(void)
{
    if (state.undo_count < state.undo_cap)
        return 0;
    size_t cap = state.undo_cap ? state.undo_cap * 2 : LINEAR_MAX;
    struct undo *grown = PyMem_RawRealloc(state.undo, cap * sizeof(*grown));
    if (!grown) {
        PyErr_NoMemory();
        return -1;
    }
    state.undo = grown;
    state.undo_cap = cap;
    return 0;
}

static int record_undo(PyObject *key)
{
    int known = is_recorded(key);
    if (known)
        return known < 0 ? -1 : 0;
    if (grow_undo() < 0 || remember_touched(key) < 0)
        return -1;
    PyObject *old = py_state_copy_raw(key);
    Py_INCREF(key);
    Py_XINCREF(old);
    state.undo[state.undo_count++] = (struct undo){key, old};
    return 0;
}

static void forget_undo(void)
{
    for (size_t i = 0; i < state.undo_count; i++) {
        Py_DECREF(state.undo[i].key);
        Py_XDECREF(state.undo[i].old);
    }
    state.undo_count = 0;
    Py_CLEAR(state.touched);
    if (state.undo_cap > 1024) {
        PyMem_RawFree(state.undo);
        state.undo = NULL;
        state.undo_cap = 0;
    }
}

void py_state_undo(void)
{
    for (size_t i = state.undo_count; i-- > 0;)
        py_state_copy_restore(state.undo[i].key, state.undo[i].old);
    forget_undo();
}

static int encode_write(struct reply *reply, const struct undo *u)
{
    PyObject *now = py_state_copy_raw(u->key);
    if (!now && !u->old)
        return 0; /* came and went within the turn */
    if (py_state_copy_encode_write(&reply->writes, u->key, now) < 0)
        return -1;
    reply->write_count++;
    return 0;
}

int py_state_commit(struct reply *reply)
{
    for (size_t i = 0; i < state.undo_count; i++)
        if (encode_write(reply, &state.undo[i]) < 0)
            return -1;
    if (reply->writes.len > state.writes_max)
        return -EFBIG;
    forget_undo();
    return 0;
}

void py_state_set_limit(uint64_t bytes)
{
    state.writes_max = bytes;
}

/* --- reading and writing, wherever the caller is --- */

static int check_key(PyObject *key)
{
    if (!PyUnicode_Check(key)) {
        PyErr_Format(PyExc_TypeError, "a key is a str, not %.100s", Py_TYPE(key)->tp_name);
        return -1;
    }
    if (PyUnicode_GET_LENGTH(key) == 0) {
        PyErr_SetString(PyExc_ValueError, "a key is a non-empty str");
        return -1;
    }
    if (PyUnicode_READ_CHAR(key, 0) == 0) {
        PyErr_SetString(PyExc_ValueError, "keys that begin with a NUL are the station's");
        return -1;
    }
    return 0;
}

/* A fresh value, or NULL: without an exception when the key is not there. */
static PyObject *read_key(PyObject *key)
{
    if (check_key(key) < 0)
        return NULL;
    if (py_outside_is_empty() || py_scope_here() != SCOPE_OUTSIDE)
        return py_state_copy_get(key);
    return py_outside_get(key);
}

static int refuse_write(const char *why)
{
    PyErr_SetString(PyExc_RuntimeError, why);
    return -1;
}

static int may_write(enum scope_kind here)
{
    if (here == SCOPE_LOADING)
        return refuse_write("state cannot be written while the module is being imported");
    if (here == SCOPE_HEALTH)
        return refuse_write("health() may read state but not write it");
    if (here == SCOPE_STREAM)
        return refuse_write("a streamed reply may read state but not write it");
    if (state.role == STATE_STATELESS)
        return refuse_write("the object is stateless (__endpoint__[\"stateless\"]): it cannot "
                            "write state");
    if (here == SCOPE_TURN && state.is_readonly)
        return refuse_write("the method is declared readonly (__endpoint__[\"readonly\"]): its "
                            "turns cannot write state");
    if (here == SCOPE_OUTSIDE && state.role == STATE_REPLICA)
        return refuse_write("this worker is a replica of the object, which cannot write state "
                            "outside a turn");
    return 0;
}

int py_state_may_write(void)
{
    return may_write(py_scope_here());
}

/* stored: as the copy keeps it, NULL deletes. */
static int write_key(PyObject *key, PyObject *stored)
{
    enum scope_kind here = py_scope_here();
    if (may_write(here) < 0)
        return -1;
    switch (here) {
    case SCOPE_TURN:
    case SCOPE_TEST:
        return record_undo(key) < 0 ? -1 : py_state_copy_put(key, stored);
    case SCOPE_OUTSIDE:
        return py_outside_put(key, stored);
    case SCOPE_LOADING:
    case SCOPE_STREAM:
    case SCOPE_HEALTH:
        break;
    }
    return -1;
}

/* Keys become what the file and the wire can hold: exact str, encodable. A new reference. */
static PyObject *writable_key(PyObject *key)
{
    if (check_key(key) < 0)
        return NULL;
    if (!PyUnicode_AsUTF8(key)) {
        PyErr_Clear();
        PyErr_SetString(PyExc_ValueError, "a key must not contain lone surrogates");
        return NULL;
    }
    return PyUnicode_FromObject(key);
}

static int set_value(PyObject *key, PyObject *value)
{
    PyObject *own_key = writable_key(key);
    PyObject *stored = own_key ? py_state_copy_store(value) : NULL;
    int err = stored ? write_key(own_key, stored) : -1;
    Py_XDECREF(stored);
    Py_XDECREF(own_key);
    return err;
}

/* 1 deleted, 0 was not there, -1 exception. */
static int delete_key(PyObject *key)
{
    PyObject *old = read_key(key);
    if (!old)
        return PyErr_Occurred() ? -1 : 0;
    Py_DECREF(old);
    PyObject *own_key = writable_key(key);
    int err = own_key ? write_key(own_key, NULL) : -1;
    Py_XDECREF(own_key);
    return err < 0 ? -1 : 1;
}

/* The dict that the caller sees; a new reference. */
static PyObject *visible(void)
{
    if (py_outside_is_empty() || py_scope_here() != SCOPE_OUTSIDE)
        return py_state_copy_dict();
    return py_outside_merged();
}

/* --- methods --- */

/* Arguments (first, second) by position or keyword; 0 or -1 with TypeError. */
static int two_arguments(const char *method, const char *const names[2], size_t required,
                         PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                         PyObject *out[2])
{
    size_t count = (size_t)nargs + (size_t)(kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    if (nargs > 2 || count > 2 || count < required) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zu to 2 arguments, not %zu", method, required,
                     count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        out[i] = args[i];
    for (Py_ssize_t i = nargs; (size_t)i < count; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i - nargs);
        int at = PyUnicode_CompareWithASCIIString(name, names[0]) == 0   ? 0
                 : PyUnicode_CompareWithASCIIString(name, names[1]) == 0 ? 1
                                                                         : -1;
        if (at < 0 || at < nargs) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected argument '%U'", method, name);
            return -1;
        }
        out[at] = args[i];
    }
    if (required > 0 && !out[0]) {
        PyErr_Format(PyExc_TypeError, "%s() needs '%s'", method, names[0]);
        return -1;
    }
    return 0;
}

static PyObject *manager_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames)
{
    static const char *const names[2] = {"key", "default"};
    PyObject *given[2] = {NULL, Py_None};
    (void)self;
    if (two_arguments("get", names, 1, args, nargs, kwnames, given) < 0)
        return NULL;
    PyObject *value = read_key(given[0]);
    if (value || PyErr_Occurred())
        return value;
    Py_INCREF(given[1]);
    return given[1];
}

static PyObject *manager_set(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames)
{
    static const char *const names[2] = {"key", "value"};
    PyObject *given[2] = {NULL, NULL};
    (void)self;
    if (two_arguments("set", names, 2, args, nargs, kwnames, given) < 0)
        return NULL;
    if (set_value(given[0], given[1]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *manager_delete(PyObject *self, PyObject *key)
{
    (void)self;
    int deleted = delete_key(key);
    return deleted < 0 ? NULL : PyBool_FromLong(deleted);
}

static bool is_number(PyObject *value)
{
    return (PyLong_Check(value) && !PyBool_Check(value)) || PyFloat_Check(value);
}

/* current + by with the checks of increment(); current NULL is 0. A new reference. */
static PyObject *add_numbers(PyObject *key, PyObject *current, PyObject *by)
{
    if (!is_number(by))
        return PyErr_Format(PyExc_TypeError, "increment() adds an int or float, not %.100s",
                            Py_TYPE(by)->tp_name);
    if (!current)
        return PyNumber_Positive(by);
    if (!is_number(current))
        return PyErr_Format(PyExc_TypeError, "%R holds %.100s, which increment() cannot add to",
                            key, Py_TYPE(current)->tp_name);
    return PyNumber_Add(current, by);
}

static int add_to_key(PyObject *key, PyObject *by, PyObject *sum)
{
    if (py_scope_here() != SCOPE_OUTSIDE)
        return set_value(key, sum);
    return may_write(SCOPE_OUTSIDE) < 0 ? -1 : py_outside_add(key, by, sum);
}

static PyObject *manager_increment(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *kwnames)
{
    static const char *const names[2] = {"key", "by"};
    static PyObject *one;
    if (!one && !(one = PyLong_FromLong(1)))
        return NULL;
    PyObject *given[2] = {NULL, one};
    (void)self;
    if (two_arguments("increment", names, 1, args, nargs, kwnames, given) < 0)
        return NULL;
    PyObject *current = read_key(given[0]);
    if (!current && PyErr_Occurred())
        return NULL;
    PyObject *sum = add_numbers(given[0], current, given[1]);
    Py_XDECREF(current);
    if (!sum)
        return NULL;
    if (add_to_key(given[0], given[1], sum) < 0)
        Py_CLEAR(sum);
    return sum;
}

static PyObject *sorted_keys(PyObject *dict)
{
    PyObject *keys = PyDict_Keys(dict);
    if (keys && PyList_Sort(keys) < 0)
        Py_CLEAR(keys);
    return keys;
}

static PyObject *keys_with_prefix(PyObject *prefix)
{
    PyObject *dict = visible();
    PyObject *all = dict ? sorted_keys(dict) : NULL;
    Py_XDECREF(dict);
    if (!all || !prefix || PyUnicode_GET_LENGTH(prefix) == 0)
        return all;
    PyObject *some = PyList_New(0);
    for (Py_ssize_t i = 0; some && i < PyList_GET_SIZE(all); i++) {
        PyObject *key = PyList_GET_ITEM(all, i);
        Py_ssize_t fits = PyUnicode_Tailmatch(key, prefix, 0, PY_SSIZE_T_MAX, -1);
        if (fits < 0 || (fits && PyList_Append(some, key) < 0))
            Py_CLEAR(some);
    }
    Py_DECREF(all);
    return some;
}

static PyObject *manager_keys(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"prefix", NULL};
    PyObject *prefix = NULL;
    (void)self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|U:keys", names, &prefix))
        return NULL;
    return keys_with_prefix(prefix);
}

static PyObject *manager_get_all(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    PyObject *dict = visible(), *result = dict ? PyDict_New() : NULL;
    PyObject *key, *raw;
    for (Py_ssize_t at = 0; result && PyDict_Next(dict, &at, &key, &raw);) {
        PyObject *value = py_state_copy_fresh(key, raw);
        if (!value || PyDict_SetItem(result, key, value) < 0)
            Py_CLEAR(result);
        Py_XDECREF(value);
    }
    Py_XDECREF(dict);
    return result;
}

static PyObject *manager_items(PyObject *self, PyObject *unused)
{
    PyObject *all = manager_get_all(self, unused);
    PyObject *items = all ? PyDict_Items(all) : NULL;
    Py_XDECREF(all);
    return items;
}

static PyObject *manager_subscript(PyObject *self, PyObject *key)
{
    (void)self;
    PyObject *value = read_key(key);
    if (!value && !PyErr_Occurred())
        PyErr_SetObject(PyExc_KeyError, key);
    return value;
}

static int manager_assign(PyObject *self, PyObject *key, PyObject *value)
{
    (void)self;
    if (value)
        return set_value(key, value);
    int deleted = delete_key(key);
    if (deleted == 0)
        PyErr_SetObject(PyExc_KeyError, key);
    return deleted == 1 ? 0 : -1;
}

static int manager_contains(PyObject *self, PyObject *key)
{
    (void)self;
    PyObject *value = read_key(key);
    Py_XDECREF(value);
    return value ? 1 : PyErr_Occurred() ? -1 : 0;
}

static Py_ssize_t manager_length(PyObject *self)
{
    (void)self;
    if (py_outside_is_empty() || py_scope_here() != SCOPE_OUTSIDE)
        return (Py_ssize_t)py_state_copy_count();
    PyObject *dict = visible();
    Py_ssize_t length = dict ? PyDict_GET_SIZE(dict) : -1;
    Py_XDECREF(dict);
    return length;
}

static PyObject *manager_iter(PyObject *self)
{
    (void)self;
    PyObject *keys = keys_with_prefix(NULL);
    PyObject *iterator = keys ? PyObject_GetIter(keys) : NULL;
    Py_XDECREF(keys);
    return iterator;
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef manager_methods[] = {
    {"get", FAST(manager_get), METH_FASTCALL | METH_KEYWORDS,
     "get(key, default=None): a fresh copy of the value"},
    {"set", FAST(manager_set), METH_FASTCALL | METH_KEYWORDS, "set(key, value): any JSON value"},
    {"delete", manager_delete, METH_O, "delete(key): True when it was there"},
    {"increment", FAST(manager_increment), METH_FASTCALL | METH_KEYWORDS,
     "increment(key, by=1): the new value"},
    {"get_all", manager_get_all, METH_NOARGS, "get_all(): a dict of everything"},
    {"keys", FAST(manager_keys), METH_VARARGS | METH_KEYWORDS, "keys(prefix=''): sorted list"},
    {"items", manager_items, METH_NOARGS, "items(): list of (key, value)"},
    {NULL, NULL, 0, NULL},
};

static PyMappingMethods manager_mapping = {
    .mp_length = manager_length,
    .mp_subscript = manager_subscript,
    .mp_ass_subscript = manager_assign,
};

static PySequenceMethods manager_sequence = {.sq_contains = manager_contains};

static PyTypeObject manager_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objectd.StateManager",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "The object's durable state: JSON values by key.",
    .tp_methods = manager_methods,
    .tp_as_mapping = &manager_mapping,
    .tp_as_sequence = &manager_sequence,
    .tp_iter = manager_iter,
};

int py_state_init(void)
{
    if (py_state_copy_init() < 0 || py_outside_init() < 0 || PyType_Ready(&manager_type) < 0)
        return -1;
    state.manager = PyObject_New(PyObject, &manager_type);
    return state.manager ? 0 : -1;
}

int py_state_load(const struct rpc_state *accepted, int checkpoint_fd, struct buf *error)
{
    return py_state_copy_load(accepted, checkpoint_fd, error);
}

int py_state_update(struct span writes, struct buf *error)
{
    return py_state_copy_apply(writes, error);
}

void py_state_set_role(enum state_role role)
{
    state.role = role;
}

void py_state_promote(void)
{
    if (state.role == STATE_REPLICA)
        state.role = STATE_OWNER;
}

uint64_t py_state_migrated(void)
{
    return py_state_copy_migrated();
}

void py_state_set_readonly(bool readonly)
{
    state.is_readonly = readonly;
}

PyObject *py_state_manager(void)
{
    return state.manager;
}
