// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_failed_store.h"

#include "worker/necrostack/py_coroutine.h"

#include <structmember.h>

enum { FAILED_MAX = 10000 };

/* `failures` is a list of (event, error); when it is full it becomes a ring that begins at `first`.
 */
struct store {
    PyObject_HEAD PyObject *failures;
    Py_ssize_t first;
    Py_ssize_t max_size;
    unsigned long long dropped;
    PyObject *weak_references;
};

static struct store *of(PyObject *object)
{
    return (struct store *)object;
}

int py_failed_store_keep(PyObject *object, PyObject *event, PyObject *error)
{
    struct store *store = of(object);
    PyObject *pair = PyTuple_Pack(2, event, error);
    int failed;
    if (!pair)
        return -1;
    if (PyList_GET_SIZE(store->failures) < store->max_size) {
        failed = PyList_Append(store->failures, pair);
        Py_DECREF(pair);
        return failed;
    }
    Py_ssize_t oldest = store->first;
    store->first = (oldest + 1) % store->max_size;
    store->dropped++;
    return PyList_SetItem(store->failures, oldest, pair);
}

/* --- store(), awaited though it is done at once ------------------------------------------- */

struct keeping {
    struct py_coroutine coroutine;
    PyObject *store, *event, *error;
};

static PySendResult keeping_advance(struct py_coroutine *self, PyObject *value, PyObject **result)
{
    struct keeping *keeping = (struct keeping *)self;
    if (!value || py_failed_store_keep(keeping->store, keeping->event, keeping->error))
        return PYGEN_ERROR;
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

static int keeping_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct keeping *keeping = (struct keeping *)self;
    Py_VISIT(keeping->store);
    Py_VISIT(keeping->event);
    Py_VISIT(keeping->error);
    return 0;
}

static int keeping_clear(PyObject *self)
{
    struct keeping *keeping = (struct keeping *)self;
    Py_CLEAR(keeping->store);
    Py_CLEAR(keeping->event);
    Py_CLEAR(keeping->error);
    return 0;
}

static void keeping_dealloc(PyObject *self)
{
    if (PyObject_CallFinalizerFromDealloc(self))
        return;
    PyObject_GC_UnTrack(self);
    keeping_clear(self);
    PyObject_GC_Del(self);
}

static PyTypeObject keeping_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "necrostack._necrostack.StoreCall",
    .tp_basicsize = sizeof(struct keeping),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_base = &py_coroutine_base,
    .tp_finalize = py_coroutine_finalize,
    .tp_dealloc = keeping_dealloc,
    .tp_traverse = keeping_traverse,
    .tp_clear = keeping_clear,
};

static PyObject *store_store(PyObject *self, PyObject *args, PyObject *keywords)
{
    static const struct py_coroutine_ops ops = {.name = "store", .advance = keeping_advance};
    static char *names[] = {"event", "error", NULL};
    PyObject *event, *error;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO:store", names, &event, &error))
        return NULL;
    struct keeping *keeping = PyObject_GC_New(struct keeping, &keeping_type);
    if (!keeping)
        return NULL;
    keeping->coroutine.ops = &ops;
    keeping->coroutine.state = PY_COROUTINE_CREATED;
    keeping->coroutine.waiting_for = NULL;
    keeping->store = Py_NewRef(self);
    keeping->event = Py_NewRef(event);
    keeping->error = Py_NewRef(error);
    PyObject_GC_Track((PyObject *)keeping);
    return (PyObject *)keeping;
}

/* --- reading it --------------------------------------------------------------------------- */

static PyObject *store_get_all(PyObject *self, PyObject *unused)
{
    struct store *store = of(self);
    Py_ssize_t count = PyList_GET_SIZE(store->failures);
    PyObject *list = PyList_New(count);
    (void)unused;
    for (Py_ssize_t i = 0; list && i < count; i++) {
        PyObject *pair = PyList_GET_ITEM(store->failures, (store->first + i) % count);
        PyList_SET_ITEM(list, i, Py_NewRef(pair));
    }
    return list;
}

static PyObject *store_clear(PyObject *self, PyObject *unused)
{
    struct store *store = of(self);
    PyObject *old = store->failures, *empty = PyList_New(0);
    (void)unused;
    if (!empty)
        return NULL;
    store->failures = empty;
    store->first = 0;
    Py_DECREF(old);
    Py_RETURN_NONE;
}

static Py_ssize_t store_length(PyObject *self)
{
    return PyList_GET_SIZE(of(self)->failures);
}

static PyMethodDef store_methods[] = {
    {"store", (PyCFunction)(void (*)(void))store_store, METH_VARARGS | METH_KEYWORDS,
     "store($self, /, event, error)\n--\n\nKeep an event and why it failed (awaitable)."},
    {"get_all", store_get_all, METH_NOARGS,
     "get_all($self, /)\n--\n\nA list of (event, error), oldest first."},
    {"get_failed_events", store_get_all, METH_NOARGS,
     "get_failed_events($self, /)\n--\n\nThe same as get_all()."},
    {"clear", store_clear, METH_NOARGS, "clear($self, /)\n--\n\nForget them; dropped_count stays."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef store_members[] = {
    {"dropped_count", T_ULONGLONG, offsetof(struct store, dropped), READONLY,
     "How many were dropped because the store was full."},
    {"max_size", T_PYSSIZET, offsetof(struct store, max_size), READONLY, "How many it keeps."},
    {NULL, 0, 0, 0, NULL},
};

static PySequenceMethods store_sequence = {.sq_length = store_length};

/* --- the object --------------------------------------------------------------------------- */

static PyObject *store_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct store *store = (struct store *)type->tp_alloc(type, 0);
    (void)args;
    (void)keywords;
    if (!store)
        return NULL;
    store->max_size = FAILED_MAX;
    store->failures = PyList_New(0);
    if (!store->failures)
        Py_CLEAR(store);
    return (PyObject *)store;
}

static int store_init(PyObject *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"max_size", NULL};
    Py_ssize_t max_size = FAILED_MAX;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|n:InMemoryFailedEventStore", names,
                                     &max_size))
        return -1;
    if (max_size < 1) {
        PyErr_SetString(PyExc_ValueError, "max_size must be positive");
        return -1;
    }
    of(self)->max_size = max_size;
    of(self)->dropped = 0;
    PyObject *none = store_clear(self, NULL);
    Py_XDECREF(none);
    return none ? 0 : -1;
}

static int store_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(of(self)->failures);
    return 0;
}

static int store_tp_clear(PyObject *self)
{
    Py_XDECREF(store_clear(self, NULL));
    return 0;
}

static void store_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    if (of(self)->weak_references)
        PyObject_ClearWeakRefs(self);
    Py_CLEAR(of(self)->failures);
    Py_TYPE(self)->tp_free(self);
}

static PyTypeObject store_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "necrostack.core.spine.InMemoryFailedEventStore",
    .tp_doc = "InMemoryFailedEventStore(max_size=10000)\n--\n\nEvents that failed, with their "
              "errors; the oldest are dropped.",
    .tp_basicsize = sizeof(struct store),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = store_new,
    .tp_init = store_init,
    .tp_dealloc = store_dealloc,
    .tp_traverse = store_traverse,
    .tp_clear = store_tp_clear,
    .tp_methods = store_methods,
    .tp_members = store_members,
    .tp_as_sequence = &store_sequence,
    .tp_weaklistoffset = offsetof(struct store, weak_references),
};

PyObject *py_failed_store_new(void)
{
    return PyObject_CallNoArgs((PyObject *)&store_type);
}

bool py_failed_store_check_exact(PyObject *object)
{
    return Py_IS_TYPE(object, &store_type);
}

int py_failed_store_add(PyObject *module)
{
    return PyType_Ready(&keeping_type) || PyModule_AddType(module, &store_type) ? -1 : 0;
}
