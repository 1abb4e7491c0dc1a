// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_backend.h"

#include "common/clock.h"
#include "worker/necrostack/py_necrostack.h"
#include "worker/necrostack/py_validation_error.h"
#include "worker/py_compat.h"

#include <errno.h>

/* --- kinds -------------------------------------------------------------------------------- */

enum { KINDS_MAX = 4 };
static const struct py_backend_kind *kinds[KINDS_MAX];
static size_t kind_count;

void py_backend_register(const struct py_backend_kind *kind)
{
    for (size_t i = 0; i < kind_count; i++)
        if (kinds[i] == kind)
            return;
    if (kind_count == KINDS_MAX)
        Py_FatalError("too many kinds of backend");
    kinds[kind_count++] = kind;
}

const struct py_backend_kind *py_backend_kind_of(PyObject *object)
{
    for (size_t i = 0; i < kind_count; i++)
        if (Py_IS_TYPE(object, kinds[i]->type))
            return kinds[i];
    return NULL;
}

/* --- loops and futures -------------------------------------------------------------------- */

/* Functions of asyncio, imported when they are first needed: much of what uses events never is. */
static PyObject *get_running_loop, *get_running_loop_or_none;

static int import_asyncio(void)
{
    PyObject *asyncio;
    if (get_running_loop)
        return 0;
    asyncio = PyImport_ImportModule("asyncio");
    if (!asyncio)
        return -1;
    get_running_loop_or_none = PyObject_GetAttrString(asyncio, "_get_running_loop");
    if (get_running_loop_or_none)
        get_running_loop = PyObject_GetAttrString(asyncio, "get_running_loop");
    Py_DECREF(asyncio);
    return get_running_loop ? 0 : -1;
}

PyObject *py_backend_running_loop(void)
{
    return import_asyncio() ? NULL : PyObject_CallNoArgs(get_running_loop);
}

static PyObject *end_future(PyObject *unused, PyObject *future)
{
    PyObject *done = PyObject_CallMethod(future, "done", NULL);
    int is_done = done ? PyObject_IsTrue(done) : -1;
    (void)unused;
    Py_XDECREF(done);
    if (is_done < 0)
        return NULL;
    return is_done ? Py_NewRef(Py_None) : PyObject_CallMethod(future, "set_result", "O", Py_None);
}

static PyMethodDef end_future_method = {"end_future", end_future, METH_O, NULL};

static PyObject *make_future(void)
{
    PyObject *loop = py_backend_running_loop(), *future = NULL;
    if (loop)
        future = PyObject_CallMethod(loop, "create_future", NULL);
    Py_XDECREF(loop);
    return future;
}

PyObject *py_backend_waiter(struct py_backend *bridge)
{
    PyObject *future = make_future();
    if (future && !bridge->waiters)
        bridge->waiters = PySet_New(NULL);
    if (future && (!bridge->waiters || PySet_Add(bridge->waiters, future)))
        Py_CLEAR(future);
    return future;
}

void py_backend_drop_waiter(struct py_backend *bridge, PyObject **future)
{
    PyObject *before;
    if (!*future)
        return;
    before = py_take_exception();
    if (bridge && bridge->waiters && PySet_Discard(bridge->waiters, *future) < 0)
        PyErr_WriteUnraisable(*future);
    Py_CLEAR(*future);
    if (before)
        py_raise_again(before);
}

PyObject *py_backend_sleeper(double seconds)
{
    PyObject *future = make_future(), *loop = NULL, *callback = NULL, *timer = NULL;
    if (future)
        loop = PyObject_CallMethod(future, "get_loop", NULL);
    if (loop)
        callback = PyCFunction_New(&end_future_method, NULL);
    if (callback)
        timer = PyObject_CallMethod(loop, "call_later", "dOO", seconds, callback, future);
    if (!timer)
        Py_CLEAR(future);
    Py_XDECREF(timer);
    Py_XDECREF(callback);
    Py_XDECREF(loop);
    return future;
}

/* Through its own loop, which may be another thread's, or closed: then nobody waits any more. */
static PyObject *end_future_elsewhere(PyObject *loop, PyObject *future)
{
    PyObject *callback = PyCFunction_New(&end_future_method, NULL), *result;
    if (!callback)
        return NULL;
    result = PyObject_CallMethod(loop, "call_soon_threadsafe", "OO", callback, future);
    Py_DECREF(callback);
    if (!result && PyErr_ExceptionMatches(PyExc_RuntimeError)) {
        PyErr_Clear();
        return Py_NewRef(Py_None);
    }
    return result;
}

void py_backend_wake(PyObject *future)
{
    PyObject *before, *loop, *running = NULL, *result = NULL;
    before = py_take_exception();
    loop = PyObject_CallMethod(future, "get_loop", NULL);
    if (loop && !import_asyncio())
        running = PyObject_CallNoArgs(get_running_loop_or_none);
    if (running)
        result = loop == running ? end_future(NULL, future) : end_future_elsewhere(loop, future);
    if (!result)
        PyErr_WriteUnraisable(future);
    Py_XDECREF(result);
    Py_XDECREF(running);
    Py_XDECREF(loop);
    if (before)
        py_raise_again(before);
}

/* --- watching ----------------------------------------------------------------------------- */

static void drop_timer(struct py_backend *bridge)
{
    PyObject *timer = bridge->timer, *result;
    bridge->timer = NULL;
    if (!timer)
        return;
    result = PyObject_CallMethod(timer, "cancel", NULL);
    if (!result)
        PyErr_WriteUnraisable(timer);
    Py_XDECREF(result);
    Py_DECREF(timer);
}

static void drop_reader(struct py_backend *bridge)
{
    PyObject *result;
    if (bridge->watched_fd < 0)
        return;
    result = PyObject_CallMethod(bridge->loop, "remove_reader", "i", bridge->watched_fd);
    if (!result)
        PyErr_WriteUnraisable(bridge->loop);
    Py_XDECREF(result);
    bridge->watched_fd = -1;
}

static void leave_loop(struct py_backend *bridge)
{
    drop_timer(bridge);
    drop_reader(bridge);
    Py_CLEAR(bridge->loop);
}

static int watch_fd(struct py_backend *bridge)
{
    int fd = backend_fd(bridge->backend);
    PyObject *result;
    if (fd == bridge->watched_fd)
        return 0;
    drop_reader(bridge);
    if (fd < 0)
        return 0;
    result = PyObject_CallMethod(bridge->loop, "add_reader", "iO", fd, (PyObject *)bridge);
    if (!result)
        return -1;
    Py_DECREF(result);
    bridge->watched_fd = fd;
    return 0;
}

/* A timer that comes too early is left to come; what it finds to do is to be set again. */
static int watch_deadline(struct py_backend *bridge)
{
    uint64_t at = backend_deadline(bridge->backend), now;
    if (at == UINT64_MAX || (bridge->timer && bridge->timer_at <= at))
        return 0;
    drop_timer(bridge);
    now = clock_mono_ns();
    /* The argument tells the timer's call, after which it is spent, from the reader's. */
    bridge->timer = PyObject_CallMethod(bridge->loop, "call_later", "dOO",
                                        at > now ? (double)(at - now) / NS_PER_S : 0.0,
                                        (PyObject *)bridge, Py_True);
    bridge->timer_at = at;
    return bridge->timer ? 0 : -1;
}

int py_backend_watch(struct py_backend *bridge)
{
    PyObject *loop;
    if (!bridge->backend)
        return 0;
    loop = py_backend_running_loop();
    if (!loop)
        return -1;
    if (loop != bridge->loop) {
        leave_loop(bridge);
        bridge->loop = Py_NewRef(loop);
    }
    Py_DECREF(loop);
    return watch_fd(bridge) || watch_deadline(bridge) ? -1 : 0;
}

/* backend_progress(), then the timer as the backend wants it now. */
static void go_on(struct py_backend *bridge)
{
    if (!bridge->backend)
        return;
    backend_progress(bridge->backend);
    if (bridge->backend && bridge->loop && (watch_fd(bridge) || watch_deadline(bridge)))
        PyErr_WriteUnraisable((PyObject *)bridge);
}

static bool wait_for_fd(struct py_backend *bridge, int fd, uint64_t ns)
{
    bool soon = backend_answers_soon(bridge->backend), ready;
    Py_BEGIN_ALLOW_THREADS;
    ready = eager_wait(&bridge->wait, fd, ns, soon);
    Py_END_ALLOW_THREADS;
    return ready;
}

void py_backend_poll(struct py_backend *bridge, const bool *under_way, uint64_t ns)
{
    uint64_t now = clock_mono_ns(), until = now + ns;
    go_on(bridge);
    while (*under_way && bridge->backend && now < until) {
        int fd = backend_fd(bridge->backend);
        if (fd < 0 || !wait_for_fd(bridge, fd, until - now))
            return;
        go_on(bridge);
        now = clock_mono_ns();
    }
}

/* --- refusing ----------------------------------------------------------------------------- */

/* A nack that nobody waits for. */
struct refusal {
    struct backend_call call;
    struct delivery delivery;
    PyObject *words;
};

/* What a nack that failed leaves behind is delivered again, and refused again. */
static void refused(struct backend_call *call, int result)
{
    struct refusal *refusal = (struct refusal *)call;
    (void)result;
    event_release(refusal->delivery.event);
    Py_DECREF(refusal->words);
    PyMem_Free(refusal);
}

int py_backend_refuse(struct py_backend *bridge, const struct delivery *unreadable)
{
    struct refusal *refusal;
    const char *words;
    int result;
    if (!PyErr_ExceptionMatches(py_validation_error) || !bridge->backend)
        return -1;
    refusal = PyMem_Calloc(1, sizeof(*refusal));
    if (!refusal) {
        PyErr_NoMemory();
        return -1;
    }
    refusal->call.done = refused;
    refusal->delivery = *unreadable;
    refusal->words = py_validation_error_words();
    words = refusal->words ? PyUnicode_AsUTF8(refusal->words) : NULL;
    if (!words) {
        Py_XDECREF(refusal->words);
        PyMem_Free(refusal);
        return -1;
    }
    event_retain(refusal->delivery.event);
    result = backend_nack(bridge->backend, &refusal->delivery, 1, words, &refusal->call);
    if (result != -EINPROGRESS)
        refused(&refusal->call, result);
    return 0;
}

/* --- the object --------------------------------------------------------------------------- */

static PyObject *bridge_call(PyObject *self, PyObject *args, PyObject *keywords)
{
    struct py_backend *bridge = (struct py_backend *)self;
    (void)keywords;
    if (PyTuple_GET_SIZE(args) > 0)
        drop_timer(bridge);
    go_on(bridge);
    Py_RETURN_NONE;
}

void py_backend_shut(struct py_backend *bridge)
{
    struct backend *backend = bridge->backend;
    PyObject *before;
    if (!backend)
        return;
    before = py_take_exception();
    leave_loop(bridge);
    bridge->backend = NULL;
    backend_close(backend);
    if (before)
        py_raise_again(before);
}

/* Of a circle with its loop: while the loop is whole. */
static void bridge_finalize(PyObject *self)
{
    PyObject *before = py_take_exception();
    leave_loop((struct py_backend *)self);
    if (before)
        py_raise_again(before);
}

static void bridge_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    py_backend_shut((struct py_backend *)self);
    Py_CLEAR(((struct py_backend *)self)->waiters);
    PyObject_GC_Del(self);
}

static int bridge_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct py_backend *bridge = (struct py_backend *)self;
    Py_VISIT(bridge->loop);
    Py_VISIT(bridge->timer);
    Py_VISIT(bridge->waiters);
    return 0;
}

static int bridge_clear(PyObject *self)
{
    struct py_backend *bridge = (struct py_backend *)self;
    Py_CLEAR(bridge->timer);
    Py_CLEAR(bridge->waiters);
    if (bridge->watched_fd < 0)
        Py_CLEAR(bridge->loop);
    return 0;
}

static PyTypeObject bridge_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "necrostack._necrostack.BackendBridge",
    .tp_basicsize = sizeof(struct py_backend),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_call = bridge_call,
    .tp_dealloc = bridge_dealloc,
    .tp_finalize = bridge_finalize,
    .tp_traverse = bridge_traverse,
    .tp_clear = bridge_clear,
};

struct py_backend *py_backend_new(struct backend *backend)
{
    struct py_backend *bridge;
    if (PyType_Ready(&bridge_type))
        return NULL;
    bridge = PyObject_GC_New(struct py_backend, &bridge_type);
    if (!bridge)
        return NULL;
    bridge->backend = backend;
    bridge->loop = NULL;
    bridge->timer = NULL;
    bridge->timer_at = 0;
    bridge->watched_fd = -1;
    bridge->waiters = NULL;
    bridge->wait = (struct eager_wait){0};
    PyObject_GC_Track((PyObject *)bridge);
    return bridge;
}
