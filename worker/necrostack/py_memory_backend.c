// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_memory_backend.h"

#include "common/events/memory_backend.h"
#include "worker/necrostack/py_necrostack.h"

#include <errno.h>
#include <structmember.h>

struct memory {
    PyObject_HEAD struct py_backend *bridge; /* always there */
    Py_ssize_t max_size;
    PyObject *weak_references;
};

static PyObject *full_error; /* the class BackendFullError */

static struct memory *of(PyObject *object)
{
    return (struct memory *)object;
}

/* --- its kind ----------------------------------------------------------------------------- */

static PyTypeObject memory_type;

static struct py_backend *memory_here(PyObject *owner)
{
    return (struct py_backend *)Py_NewRef((PyObject *)of(owner)->bridge);
}

static PyObject *memory_error(PyObject *owner, struct py_backend *bridge, int error)
{
    (void)bridge;
    PyObject *text, *exception;
    if (error == ENOMEM)
        return PyObject_CallNoArgs(PyExc_MemoryError);
    if (error == ESHUTDOWN)
        return PyObject_CallFunction(
            PyExc_RuntimeError, "s",
            "the queue is gone: InMemoryBackend.__init__() was called again");
    if (error != ENOBUFS)
        return PyObject_CallFunction(PyExc_OSError, "is", error, "the queue failed");
    text = PyUnicode_FromFormat("Queue full (max_size=%zd), cannot enqueue event",
                                of(owner)->max_size);
    exception = text ? PyObject_CallOneArg(full_error, text) : NULL;
    Py_XDECREF(text);
    return exception;
}

static PyObject *memory_health(PyObject *owner, struct py_backend *bridge,
                               const struct backend_health *health)
{
    PyObject *module, *result;
    (void)bridge;
    module = PyImport_ImportModule("necrostack.backends.redis_backend");
    if (!module)
        return NULL;
    result = PyObject_CallMethod(module, "BackendHealth", "Nd{sKsn}", PyBool_FromLong(1), 0.0,
                                 "queue_size", (unsigned long long)health->waiting, "max_size",
                                 of(owner)->max_size);
    Py_DECREF(module);
    return result;
}

static int memory_close(PyObject *owner)
{
    (void)owner;
    return 0;
}

static const struct py_backend_kind memory_kind = {
    .type = &memory_type,
    .ends_when_empty = true,
    .here = memory_here,
    .error = memory_error,
    .health = memory_health,
    .close = memory_close,
};

struct py_backend *py_memory_backend_bridge(PyObject *object)
{
    return PyObject_TypeCheck(object, &memory_type) ? of(object)->bridge : NULL;
}

/* --- methods ------------------------------------------------------------------------------ */

static PyObject *memory_enqueue(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords)
{
    PyObject *event = py_backend_only_event("enqueue", args, count, keywords);
    return event ? py_backend_enqueue(&memory_kind, self, event) : NULL;
}

static PyObject *memory_pull(PyObject *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"timeout", NULL};
    PyObject *timeout = NULL, *zero, *result;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:pull", names, &timeout))
        return NULL;
    if (timeout)
        return py_backend_pull(&memory_kind, self, timeout);
    zero = PyLong_FromLong(0);
    result = zero ? py_backend_pull(&memory_kind, self, zero) : NULL;
    Py_XDECREF(zero);
    return result;
}

static PyObject *memory_ack(PyObject *self, PyObject *const *args, Py_ssize_t count,
                            PyObject *keywords)
{
    PyObject *event = py_backend_only_event("ack", args, count, keywords);
    return event ? py_backend_ack(&memory_kind, self, event) : NULL;
}

static PyObject *memory_nack(PyObject *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"event", "reason", NULL};
    PyObject *event, *reason = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|U:nack", names, &event, &reason))
        return NULL;
    return py_backend_nack(&memory_kind, self, event, reason);
}

static PyObject *memory_health_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    return py_backend_health(&memory_kind, self);
}

static PyObject *memory_close_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    return py_backend_close(&memory_kind, self);
}

static PyObject *memory_qsize(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromSize_t(memory_backend_size(of(self)->bridge->backend));
}

static PyMethodDef memory_methods[] = {
    {"enqueue", (PyCFunction)(void (*)(void))memory_enqueue, METH_FASTCALL | METH_KEYWORDS,
     "enqueue($self, /, event)\n--\n\nPut an event at the end (awaitable); BackendFullError when "
     "max_size are waiting."},
    {"pull", (PyCFunction)(void (*)(void))memory_pull, METH_VARARGS | METH_KEYWORDS,
     "pull($self, /, timeout=0)\n--\n\nTake the first event (awaitable); None when none came "
     "within "
     "timeout seconds. A timeout of None waits for as long as it takes."},
    {"ack", (PyCFunction)(void (*)(void))memory_ack, METH_FASTCALL | METH_KEYWORDS,
     "ack($self, /, event)\n--\n\nThe event was handled (awaitable)."},
    {"nack", (PyCFunction)(void (*)(void))memory_nack, METH_VARARGS | METH_KEYWORDS,
     "nack($self, /, event, reason='')\n--\n\nThe event is not wanted again (awaitable): it is "
     "dropped."},
    {"health", memory_health_method, METH_NOARGS,
     "health($self, /)\n--\n\nA BackendHealth (awaitable)."},
    {"close", memory_close_method, METH_NOARGS,
     "close($self, /)\n--\n\nNothing is to be closed (awaitable)."},
    {"qsize", memory_qsize, METH_NOARGS, "qsize($self, /)\n--\n\nHow many events wait."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef memory_members[] = {
    {"max_size", T_PYSSIZET, offsetof(struct memory, max_size), READONLY,
     "How many events may wait; 0: no bound."},
    {NULL, 0, 0, 0, NULL},
};

/* --- the object --------------------------------------------------------------------------- */

static struct py_backend *open_bridge(Py_ssize_t max_size)
{
    struct backend *backend = memory_backend_open((size_t)max_size);
    struct py_backend *bridge = backend ? py_backend_new(backend) : NULL;
    if (!backend)
        PyErr_NoMemory();
    else if (!bridge)
        backend_close(backend);
    return bridge;
}

/* Made here, so that a subclass whose __init__ does not call ours has a queue too. */
static PyObject *memory_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct memory *self = (struct memory *)type->tp_alloc(type, 0);
    (void)args;
    (void)keywords;
    if (self && !(self->bridge = open_bridge(0)))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int memory_init(PyObject *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"max_size", NULL};
    Py_ssize_t max_size = 0;
    struct py_backend *old = of(self)->bridge, *bridge;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|n:InMemoryBackend", names, &max_size))
        return -1;
    if (max_size < 0) {
        PyErr_SetString(PyExc_ValueError, "max_size must not be negative");
        return -1;
    }
    bridge = open_bridge(max_size);
    if (!bridge)
        return -1;
    of(self)->bridge = bridge;
    of(self)->max_size = max_size;
    py_backend_shut(old);
    Py_DECREF(old);
    return 0;
}

/* The queue itself is not traversed: an Event refers to nothing but JSON. One of a subclass with an
 * attribute that leads back to the queue stays as long as it waits there. */
static int memory_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT((PyObject *)of(self)->bridge);
    return 0;
}

static void memory_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    if (of(self)->weak_references)
        PyObject_ClearWeakRefs(self);
    if (of(self)->bridge) {
        py_backend_shut(of(self)->bridge);
        Py_CLEAR(of(self)->bridge);
    }
    Py_TYPE(self)->tp_free(self);
}

static PyTypeObject memory_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "necrostack.backends.inmemory.InMemoryBackend",
    .tp_doc =
        "InMemoryBackend(max_size=0)\n--\n\nA queue in memory: first in, first out, gone with "
        "the process.",
    .tp_basicsize = sizeof(struct memory),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = memory_new,
    .tp_init = memory_init,
    .tp_dealloc = memory_dealloc,
    .tp_traverse = memory_traverse,
    .tp_methods = memory_methods,
    .tp_members = memory_members,
    .tp_weaklistoffset = offsetof(struct memory, weak_references),
};

int py_memory_backend_add(PyObject *module)
{
    full_error = PyErr_NewExceptionWithDoc("necrostack.backends.inmemory.BackendFullError",
                                           "The queue holds max_size events already.", NULL, NULL);
    if (!full_error || PyModule_AddObjectRef(module, "BackendFullError", full_error))
        return -1;
    py_backend_register(&memory_kind);
    return PyModule_AddType(module, &memory_type);
}
