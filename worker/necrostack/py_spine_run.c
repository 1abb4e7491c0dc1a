// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_spine_run.h"

#include "common/clock.h"
#include "worker/necrostack/py_memory_backend.h"
#include "worker/necrostack/py_necrostack.h"
#include "worker/necrostack/py_spine_late.h"
#include "worker/py_compat.h"

#include <errno.h>

/* Half of what is promised, for a handler may take the other half. */
#define SLICE_NS (5 * NS_PER_MS)
/* How long the answer of a struct backend is waited for before the loop gets its turn. */
#define PATIENCE_NS (200 * 1000ull)

enum { EMITTED_KEPT = 1024 /* room that stays when it is not needed */ };

static struct spine_run *of(struct py_coroutine *coroutine)
{
    return (struct spine_run *)coroutine;
}

/* --- failures ----------------------------------------------------------------------------- */

bool spine_run_is_failure(void)
{
    PyObject *exception, *ends;
    bool is_failure;
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return false;
    exception = py_take_exception();
    ends = PyObject_GetAttrString((PyObject *)Py_TYPE(exception), "ends_spine_run");
    is_failure = !ends || PyObject_IsTrue(ends) <= 0;
    PyErr_Clear();
    Py_XDECREF(ends);
    py_raise_again(exception);
    return is_failure;
}

PyObject *spine_run_take_failure(void)
{
    return spine_run_is_failure() ? py_take_exception() : NULL;
}

void spine_run_raise_errno(struct spine_run *run, int error)
{
    PyObject *exception = run->spine->kind->error(run->spine->backend, run->bridge, error);
    if (exception)
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_XDECREF(exception);
}

/* --- waiting ------------------------------------------------------------------------------ */

static enum spine_step wait_for(struct spine_run *run, PyObject *awaitable)
{
    run->coroutine.waiting_for = py_coroutine_iterator(awaitable);
    return run->coroutine.waiting_for ? SPINE_WAIT : SPINE_FAILED;
}

enum spine_step spine_run_await(struct spine_run *run, PyObject *awaitable, enum spine_state state)
{
    run->state = state;
    if (awaitable && !py_coroutine_is_awaitable(awaitable)) {
        run->ready = awaitable;
        return SPINE_ON;
    }
    if (awaitable)
        run->coroutine.waiting_for = py_coroutine_iterator(awaitable);
    Py_XDECREF(awaitable);
    run->raised = !run->coroutine.waiting_for;
    return run->raised ? SPINE_ON : SPINE_WAIT;
}

static enum spine_step wait_with(struct spine_run *run, PyObject *future)
{
    if (!future)
        return SPINE_FAILED;
    py_backend_drop_waiter(run->bridge, &run->waiter);
    run->waiter = future;
    return wait_for(run, future);
}

enum spine_step spine_run_await_flag(struct spine_run *run, const bool *under_way, bool may_stop,
                                     enum spine_state state)
{
    run->state = state;
    py_backend_poll(run->bridge, under_way, PATIENCE_NS);
    if (!*under_way)
        return SPINE_ON;
    if (py_backend_watch(run->bridge))
        return SPINE_FAILED;
    run->may_stop = may_stop;
    return wait_with(run, py_backend_waiter(run->bridge));
}

enum spine_step spine_run_await_call(struct spine_run *run, struct spine_call *call,
                                     enum spine_state state)
{
    return spine_run_await_flag(run, &call->under_way, call == &run->pull, state);
}

enum spine_step spine_run_sleep(struct spine_run *run, double seconds, enum spine_state state)
{
    run->state = state;
    run->may_stop = state == SPINE_PULL;
    return wait_with(run, py_backend_sleeper(seconds));
}

void spine_run_stop(struct spine_run *run)
{
    if (run->waiter && run->may_stop)
        py_backend_wake(run->waiter);
}

static void call_done(struct backend_call *plain, int result)
{
    struct spine_call *call =
        (struct spine_call *)((char *)plain - offsetof(struct spine_call, call));
    call->under_way = false;
    call->result = result;
    if (call->run->waiter)
        py_backend_wake(call->run->waiter);
}

void spine_run_prepare(struct spine_run *run, struct spine_call *call)
{
    call->run = run;
    call->under_way = false;
    call->result = 0;
    call->call.plain = (struct backend_call){.done = call_done};
}

/* --- the event in hand -------------------------------------------------------------------- */

void spine_run_forget_event(struct spine_run *run)
{
    for (size_t i = 0; i < run->emitted_count; i++)
        Py_DECREF(spine_run_emitted(run, i));
    run->emitted_count = run->published = run->publishing = 0;
    run->singly = run->acknowledged = false;
    run->attempts = 0;
    if (run->emitted_room > EMITTED_KEPT) {
        PyMem_Free(run->emitted);
        run->emitted = NULL;
        run->emitted_room = 0;
    }
    Py_CLEAR(run->failure);
    Py_CLEAR(run->event);
}

static void forget_call(struct spine_run *run, struct spine_call *call)
{
    if (call->under_way && run->bridge->backend)
        backend_forget(run->bridge->backend, &call->call.plain);
    call->under_way = false;
}

static void give_back(struct spine_run *run, const struct delivery *delivery)
{
    struct py_backend *bridge =
        run->bridge ? run->bridge : py_memory_backend_bridge(run->spine->backend);
    if (bridge && bridge->backend)
        backend_give_back(bridge->backend, delivery);
}

/* What was pulled ahead and nobody wants any more. */
static void return_next(struct spine_run *run)
{
    forget_call(run, &run->pull);
    if (run->pull_asked && !run->pull.result && run->pull.call.pull.count > 0) {
        give_back(run, &run->next);
        event_release(run->next.event);
    }
    run->pull_asked = false;
}

/* The run is over, well or not. An event whose acknowledgement is on its way stays where it is:
 * nobody knows whether it arrives. What comes first goes back last, so that it is first again. */
static void leave(struct spine_run *run)
{
    PyObject *before;
    if (run->left)
        return;
    before = py_take_exception();
    run->left = true;
    py_watchdog_remove(&run->watch);
    spine_acks_leave(run);
    return_next(run);
    if (run->event && !run->acknowledged)
        give_back(run, &run->delivery);
    if (run->settle.under_way)
        forget_call(run, &run->settle);
    spine_run_forget_event(run);
    spine_late_leave(run);
    py_backend_drop_waiter(run->bridge, &run->waiter);
    Py_CLEAR(run->task);
    if (run->spine->run == run)
        run->spine->run = NULL;
    if (before)
        py_raise_again(before);
}

/* --- beginning and ending ----------------------------------------------------------------- */

static int connect(struct spine_run *run)
{
    const struct py_backend_kind *kind = run->spine->kind;
    if (!kind)
        return 0;
    run->bridge = kind->here(run->spine->backend);
    if (run->bridge && !run->bridge->backend)
        spine_run_raise_errno(run, ESHUTDOWN);
    run->ends_when_empty = kind->ends_when_empty && run->start;
    return run->bridge && run->bridge->backend ? 0 : -1;
}

static enum spine_step begin(struct spine_run *run, PyObject *value)
{
    struct py_spine *spine = run->spine;
    (void)value;
    if (spine->run || spine->being_made) {
        PyErr_SetString(PyExc_RuntimeError, spine->run ? "Spine is already running"
                                                       : "Spine.__init__() has not returned");
        return SPINE_FAILED;
    }
    spine->run = run;
    memset(&spine->stats, 0, sizeof(spine->stats));
    if (connect(run) ||
        (spine->handler_timeout_ns && py_watchdog_add(&run->watch, spine->handler_timeout_ns)))
        return SPINE_FAILED;
    return run->start ? spine_publish_begin(run, NULL) : spine_run_on(run, SPINE_PULL);
}

static enum spine_step end(struct spine_run *run, PyObject *value)
{
    (void)value;
    if (spine_acks_report(run))
        return SPINE_FAILED;
    if (spine_acks_are_left(&run->acks_under_way))
        return spine_run_await_flag(run, &run->acks_under_way.waited, false, SPINE_END);
    return SPINE_DONE;
}

/* --- the machine -------------------------------------------------------------------------- */

static const struct {
    enum spine_step (*step)(struct spine_run *run, PyObject *value);
    bool takes_errors; /* value may be NULL, with an exception that is not the end of the run */
} states[SPINE_STATES] = {
    [SPINE_BEGIN] = {begin, false},
    [SPINE_PULL] = {spine_pull_ask, false},
    [SPINE_PULLED] = {spine_pull_use, true},
    [SPINE_TAKE] = {spine_pull_take, false},
    [SPINE_HANDLE] = {spine_handle_call, false},
    [SPINE_HANDLED] = {spine_handle_use, true},
    [SPINE_KEPT] = {spine_handle_kept, true},
    [SPINE_PUBLISH] = {spine_publish_send, false},
    [SPINE_PUBLISHED] = {spine_publish_sent, true},
    [SPINE_STORED] = {spine_publish_stored, true},
    [SPINE_ACK] = {spine_publish_ack, false},
    [SPINE_ACKED] = {spine_publish_acked, true},
    [SPINE_END] = {end, false},
};

/* One state after the other until something is to be waited for. `value` is borrowed. */
static enum spine_step go(struct spine_run *run, PyObject *value)
{
    enum spine_step step = SPINE_ON;
    while (step == SPINE_ON) {
        PyObject *ready = run->ready;
        if (!value && !(states[run->state].takes_errors && spine_run_is_failure()))
            return SPINE_FAILED;
        run->ready = NULL;
        run->raised = false;
        step = states[run->state].step(run, ready ? ready : value);
        Py_XDECREF(ready);
        value = run->raised ? NULL : Py_None;
    }
    return step;
}

static PySendResult run_advance(struct py_coroutine *self, PyObject *value, PyObject **result)
{
    struct spine_run *run = of(self);
    run->now = clock_mono_ns();
    run->slice_end = run->now + SLICE_NS;
    run->late_at = 0;
    py_backend_drop_waiter(run->bridge, &run->waiter);
    if (run->late)
        spine_late_end(run, value);
    switch (go(run, value)) {
    case SPINE_WAIT:
    case SPINE_YIELD:
        return PYGEN_NEXT;
    case SPINE_DONE:
        leave(run);
        *result = spine_face_stats(&run->spine->stats);
        return *result ? PYGEN_RETURN : PYGEN_ERROR;
    default:
        leave(run);
        return PYGEN_ERROR;
    }
}

/* --- the object --------------------------------------------------------------------------- */

static int run_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct spine_run *run = (struct spine_run *)self;
    Py_VISIT(run->coroutine.waiting_for);
    Py_VISIT(run->spine);
    Py_VISIT(run->start);
    Py_VISIT(run->bridge);
    Py_VISIT(run->waiter);
    Py_VISIT(run->timer);
    Py_VISIT(run->task);
    Py_VISIT(run->event);
    Py_VISIT(run->failure);
    Py_VISIT(run->ready);
    return spine_acks_traverse(&run->acks_under_way, visit, arg);
}

/* What breaks cycles; the rest is needed to leave the backend in order. */
static int run_clear(PyObject *self)
{
    struct spine_run *run = (struct spine_run *)self;
    Py_CLEAR(run->coroutine.waiting_for);
    Py_CLEAR(run->timer);
    Py_CLEAR(run->task);
    Py_CLEAR(run->waiter);
    Py_CLEAR(run->failure);
    return 0;
}

/* Leaving calls Python code, which is too late for when the references are gone. */
static void run_finalize(PyObject *self)
{
    py_coroutine_finalize(self);
    if (((struct spine_run *)self)->coroutine.state == PY_COROUTINE_FINISHED)
        leave((struct spine_run *)self);
}

static void run_dealloc(PyObject *self)
{
    struct spine_run *run = (struct spine_run *)self;
    if (PyObject_CallFinalizerFromDealloc(self))
        return;
    PyObject_GC_UnTrack(self);
    if (run->weak_references)
        PyObject_ClearWeakRefs(self);
    leave(run);
    run_clear(self);
    Py_CLEAR(run->ready);
    Py_CLEAR(run->start);
    Py_CLEAR(run->bridge);
    Py_CLEAR(run->spine);
    PyMem_Free(run->emitted);
    PyObject_GC_Del(self);
}

static PyTypeObject run_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "necrostack._necrostack.SpineRun",
    .tp_basicsize = sizeof(struct spine_run),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_base = &py_coroutine_base,
    .tp_finalize = run_finalize,
    .tp_dealloc = run_dealloc,
    .tp_traverse = run_traverse,
    .tp_clear = run_clear,
    .tp_weaklistoffset = offsetof(struct spine_run, weak_references),
};

PyObject *spine_run_new(struct py_spine *spine, PyObject *start, bool unlimited)
{
    static const struct py_coroutine_ops ops = {.name = "Spine.run",
                                                .advance = run_advance,
                                                .suspended = spine_late_suspended,
                                                .before_step = spine_late_before_step,
                                                .after_step = spine_late_after_step};
    struct spine_run *run;
    if (PyType_Ready(&run_type))
        return NULL;
    run = PyObject_GC_New(struct spine_run, &run_type);
    if (!run)
        return NULL;
    memset((char *)run + sizeof(PyObject), 0, sizeof(*run) - sizeof(PyObject));
    run->coroutine.ops = &ops;
    run->spine = (struct py_spine *)Py_NewRef((PyObject *)spine);
    run->start = Py_XNewRef(start);
    run->unlimited = unlimited;
    run->stops = spine->stops;
    PyObject_GC_Track((PyObject *)run);
    return (PyObject *)run;
}
