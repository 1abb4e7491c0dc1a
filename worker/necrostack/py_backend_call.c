// SPDX-License-Identifier: Apache-2.0
/*
 * py_backend_call - the awaitables of a backend's Python methods (py_backend.h).
 *
 * One coroutine object an operation. It holds what the struct backend is told until that has ended
 * or was forgotten, so it may be cancelled or dropped at any time; an event that had arrived and
 * reached nobody is given back.
 */
#include <Python.h>

#include "worker/necrostack/py_backend.h"

#include "common/clock.h"
#include "worker/necrostack/py_coroutine.h"
#include "worker/necrostack/py_necrostack.h"
#include "worker/py_compat.h"

#include <errno.h>
#include <stddef.h>

enum verb { ENQUEUE, PULL, ACK, NACK, HEALTH, REMOVE, ENTER, CLOSE, VERBS };

struct operation {
    struct py_coroutine coroutine;
    const struct py_backend_kind *kind;
    PyObject *owner;
    enum verb verb;
    PyObject *event, *text; /* or NULL; a nack's reason, a removal's name */
    const char *text_utf8;
    uint64_t wait_ns;

    struct py_backend *bridge; /* NULL before it began */
    union {
        struct backend_call call;
        struct pull_call pull;
        struct health_call health;
    } under;
    bool under_way;
    int result;
    struct event *events[1];
    struct delivery delivery;
    bool settling;    /* the delivery was taken back and is not settled yet */
    PyObject *waiter; /* the future that under.call ends */
};

static struct operation *of(struct py_coroutine *coroutine)
{
    return (struct operation *)coroutine;
}

static void operation_done(struct backend_call *call, int result)
{
    struct operation *op = (struct operation *)((char *)call - offsetof(struct operation, under));
    op->under_way = false;
    op->result = result;
    if (op->waiter)
        py_backend_wake(op->waiter);
}

/* --- beginning ---------------------------------------------------------------------------- */

static int begin_enqueue(struct operation *op)
{
    if (op->kind->writes && py_event_ready(op->event))
        return -1;
    op->events[0] = py_event_of(op->event);
    return backend_enqueue(op->bridge->backend, op->events, 1, &op->under.call);
}

static int begin_pull(struct operation *op)
{
    op->under.pull.into = &op->delivery;
    op->under.pull.room = 1;
    op->under.pull.wait_ns = op->wait_ns;
    return backend_pull(op->bridge->backend, &op->under.pull);
}

/* The delivery of the event; 0: there is none to be settled. */
static int find_delivery(struct operation *op)
{
    int found = 1;
    op->delivery = (struct delivery){.event = py_event_of(op->event), .attempt = 1};
    if (op->kind->taken_back)
        found = op->kind->taken_back(op->owner, op->bridge, op->event, &op->delivery);
    op->settling = found > 0;
    return found;
}

static int begin_ack(struct operation *op)
{
    int found = find_delivery(op);
    return found <= 0
               ? found
               : backend_ack(op->bridge->backend, &op->delivery, 1, NULL, 0, &op->under.call);
}

/* The dead letter has the event as it is now. */
static int begin_nack(struct operation *op)
{
    if (op->kind->writes && py_event_ready(op->event))
        return -1;
    int found = find_delivery(op);
    return found <= 0 ? found
                      : backend_nack(op->bridge->backend, &op->delivery, 1, op->text_utf8,
                                     &op->under.call);
}

static int begin_health(struct operation *op)
{
    return backend_health(op->bridge->backend, &op->under.health);
}

static int begin_remove(struct operation *op)
{
    return op->kind->remove(op->bridge->backend, op->text_utf8, &op->under.call);
}

static int begin_enter(struct operation *op)
{
    (void)op;
    return 0;
}

static int begin_close(struct operation *op)
{
    return op->kind->close(op->owner);
}

/* --- ending ------------------------------------------------------------------------------- */

static PyObject *end_plain(struct operation *op)
{
    (void)op;
    Py_RETURN_NONE;
}

/* What fails leaves the delivery here, so that it is given back. */
static PyObject *end_pull(struct operation *op)
{
    PyObject *event;
    if (op->under.pull.count == 0)
        Py_RETURN_NONE;
    event = py_event_wrap(op->delivery.event);
    if (event && op->kind->handed_out &&
        op->kind->handed_out(op->owner, op->bridge, event, &op->delivery))
        Py_CLEAR(event);
    if (!event && py_backend_refuse(op->bridge, &op->delivery))
        return NULL;
    event_release(op->delivery.event);
    op->under.pull.count = 0;
    return event ? event : Py_NewRef(Py_None);
}

static PyObject *end_enter(struct operation *op)
{
    return Py_NewRef(op->owner);
}

static PyObject *end_health(struct operation *op)
{
    return op->kind->health(op->owner, op->bridge, &op->under.health.health);
}

static const struct {
    int (*begin)(struct operation *op); /* as the operations of a backend; -1 may be an exception */
    PyObject *(*end)(struct operation *op);
} verbs[VERBS] = {
    [ENQUEUE] = {begin_enqueue, end_plain}, [PULL] = {begin_pull, end_pull},
    [ACK] = {begin_ack, end_plain},         [NACK] = {begin_nack, end_plain},
    [HEALTH] = {begin_health, end_health},  [REMOVE] = {begin_remove, end_plain},
    [ENTER] = {begin_enter, end_enter},     [CLOSE] = {begin_close, end_plain},
};

/* --- the coroutine ------------------------------------------------------------------------ */

/* An ack or nack that failed, or whose end nobody saw, may be tried again. */
static void keep_delivery(struct operation *op)
{
    PyObject *before;
    before = py_take_exception();
    if (op->kind->handed_out && op->owner && op->event &&
        op->kind->handed_out(op->owner, op->bridge, op->event, &op->delivery))
        PyErr_WriteUnraisable(op->owner);
    op->settling = false;
    if (before)
        py_raise_again(before);
}

/* Whatever of it is left in the backend, or came and was not handed on. */
static void abandon(struct operation *op)
{
    py_backend_drop_waiter(op->bridge, &op->waiter);
    if (op->under_way && op->bridge->backend)
        backend_forget(op->bridge->backend, &op->under.call);
    op->under_way = false;
    if (op->verb == PULL && op->under.pull.count > 0) {
        if (op->bridge->backend)
            backend_give_back(op->bridge->backend, &op->delivery);
        event_release(op->delivery.event);
        op->under.pull.count = 0;
    }
    if (op->settling)
        keep_delivery(op);
}

static PySendResult fail(struct operation *op, int error)
{
    PyObject *exception = op->kind->error(op->owner, op->bridge, error);
    if (exception)
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_XDECREF(exception);
    return PYGEN_ERROR;
}

static PySendResult finish(struct operation *op, PyObject **result)
{
    PySendResult status = PYGEN_RETURN;
    if (op->verb == HEALTH && op->bridge->backend)
        op->result = 0; /* an error of the question is the answer */
    if (op->result)
        status = fail(op, -op->result);
    else if (!(*result = verbs[op->verb].end(op)))
        status = PYGEN_ERROR;
    else
        op->settling = false;
    abandon(op);
    return status;
}

static PySendResult wait(struct operation *op)
{
    op->waiter = py_backend_waiter(op->bridge);
    if (op->waiter && !py_backend_watch(op->bridge))
        op->coroutine.waiting_for = py_coroutine_iterator(op->waiter);
    if (op->coroutine.waiting_for)
        return PYGEN_NEXT;
    abandon(op);
    return PYGEN_ERROR;
}

static PySendResult begin(struct operation *op, PyObject **result)
{
    op->bridge = op->kind->here(op->owner);
    if (!op->bridge)
        return PYGEN_ERROR;
    op->under.call.done = operation_done;
    if (!op->bridge->backend && op->verb != CLOSE)
        return fail(op, ESHUTDOWN);
    op->result = verbs[op->verb].begin(op);
    if (op->result == -EINPROGRESS) {
        op->under_way = true;
        op->result = 0;
        return wait(op);
    }
    return PyErr_Occurred() ? PYGEN_ERROR : finish(op, result);
}

static PySendResult operation_advance(struct py_coroutine *self, PyObject *value, PyObject **result)
{
    struct operation *op = of(self);
    if (!value) {
        abandon(op);
        return PYGEN_ERROR;
    }
    if (!op->bridge)
        return begin(op, result);
    if (!op->under_way)
        return finish(op, result);
    py_backend_drop_waiter(op->bridge, &op->waiter);
    return wait(op);
}

/* --- the object --------------------------------------------------------------------------- */

static int operation_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct operation *op = (struct operation *)self;
    Py_VISIT(op->coroutine.waiting_for);
    Py_VISIT(op->owner);
    Py_VISIT(op->event);
    Py_VISIT(op->text);
    Py_VISIT((PyObject *)op->bridge);
    Py_VISIT(op->waiter);
    return 0;
}

static int operation_clear(PyObject *self)
{
    struct operation *op = (struct operation *)self;
    Py_CLEAR(op->coroutine.waiting_for);
    Py_CLEAR(op->owner);
    Py_CLEAR(op->event);
    Py_CLEAR(op->text);
    Py_CLEAR(op->waiter);
    return 0;
}

static void operation_dealloc(PyObject *self)
{
    struct operation *op = (struct operation *)self;
    if (PyObject_CallFinalizerFromDealloc(self))
        return;
    PyObject_GC_UnTrack(self);
    abandon(op);
    operation_clear(self);
    Py_XDECREF(op->bridge);
    PyObject_GC_Del(self);
}

static const struct py_coroutine_ops operation_ops[VERBS] = {
    [ENQUEUE] = {.name = "enqueue", .advance = operation_advance},
    [PULL] = {.name = "pull", .advance = operation_advance},
    [ACK] = {.name = "ack", .advance = operation_advance},
    [NACK] = {.name = "nack", .advance = operation_advance},
    [HEALTH] = {.name = "health", .advance = operation_advance},
    [REMOVE] = {.name = "delete_stream", .advance = operation_advance},
    [ENTER] = {.name = "__aenter__", .advance = operation_advance},
    [CLOSE] = {.name = "close", .advance = operation_advance},
};

static PyTypeObject operation_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "necrostack._necrostack.BackendCall",
    .tp_basicsize = sizeof(struct operation),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_base = &py_coroutine_base,
    .tp_dealloc = operation_dealloc,
    .tp_finalize = py_coroutine_finalize,
    .tp_traverse = operation_traverse,
    .tp_clear = operation_clear,
};

static struct operation *operation_new(const struct py_backend_kind *kind, PyObject *owner,
                                       enum verb verb, PyObject *event)
{
    struct operation *op;
    if (event && !py_event_check(event)) {
        PyErr_Format(PyExc_TypeError, "%s() takes an Event, not %.100s", operation_ops[verb].name,
                     Py_TYPE(event)->tp_name);
        return NULL;
    }
    op = PyType_Ready(&operation_type) ? NULL : PyObject_GC_New(struct operation, &operation_type);
    if (!op)
        return NULL;
    memset((char *)op + sizeof(PyObject), 0, sizeof(*op) - sizeof(PyObject));
    op->coroutine.ops = &operation_ops[verb];
    op->kind = kind;
    op->owner = Py_NewRef(owner);
    op->verb = verb;
    op->event = Py_XNewRef(event);
    PyObject_GC_Track((PyObject *)op);
    return op;
}

PyObject *py_backend_only_event(const char *method, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords)
{
    Py_ssize_t named = keywords ? PyTuple_GET_SIZE(keywords) : 0;
    if (count + named == 1 &&
        (!named || PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), "event") == 0))
        return args[0];
    PyErr_Format(PyExc_TypeError, "%s() takes exactly one argument, event", method);
    return NULL;
}

PyObject *py_backend_enqueue(const struct py_backend_kind *kind, PyObject *owner, PyObject *event)
{
    return (PyObject *)operation_new(kind, owner, ENQUEUE, event);
}

/* Seconds in ns; what is beyond 100 years is for ever. */
static int read_timeout(PyObject *timeout, uint64_t *ns)
{
    const double forever = 3e9;
    double seconds;
    *ns = UINT64_MAX;
    if (timeout == Py_None)
        return 0;
    seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (seconds != seconds) {
        PyErr_SetString(PyExc_ValueError, "timeout is not a number");
        return -1;
    }
    if (seconds < forever)
        *ns = seconds > 0 ? (uint64_t)(seconds * NS_PER_S) : 0;
    return 0;
}

PyObject *py_backend_pull(const struct py_backend_kind *kind, PyObject *owner, PyObject *timeout)
{
    uint64_t ns;
    struct operation *op =
        read_timeout(timeout, &ns) ? NULL : operation_new(kind, owner, PULL, NULL);
    if (op)
        op->wait_ns = ns;
    return (PyObject *)op;
}

PyObject *py_backend_ack(const struct py_backend_kind *kind, PyObject *owner, PyObject *event)
{
    return (PyObject *)operation_new(kind, owner, ACK, event);
}

PyObject *py_backend_nack(const struct py_backend_kind *kind, PyObject *owner, PyObject *event,
                          PyObject *reason)
{
    struct operation *op;
    const char *text = "";
    if (reason && !(text = PyUnicode_AsUTF8(reason)))
        return NULL;
    op = operation_new(kind, owner, NACK, event);
    if (op) {
        op->text = Py_XNewRef(reason);
        op->text_utf8 = text;
    }
    return (PyObject *)op;
}

PyObject *py_backend_health(const struct py_backend_kind *kind, PyObject *owner)
{
    return (PyObject *)operation_new(kind, owner, HEALTH, NULL);
}

PyObject *py_backend_close(const struct py_backend_kind *kind, PyObject *owner)
{
    return (PyObject *)operation_new(kind, owner, CLOSE, NULL);
}

PyObject *py_backend_remove(const struct py_backend_kind *kind, PyObject *owner, PyObject *name)
{
    struct operation *op;
    const char *utf8 = NULL;
    if (name != Py_None && !(utf8 = PyUnicode_AsUTF8(name)))
        return NULL;
    op = operation_new(kind, owner, REMOVE, NULL);
    if (op) {
        op->text = Py_NewRef(name);
        op->text_utf8 = utf8;
    }
    return (PyObject *)op;
}

PyObject *py_backend_enter(const struct py_backend_kind *kind, PyObject *owner)
{
    return (PyObject *)operation_new(kind, owner, ENTER, NULL);
}
