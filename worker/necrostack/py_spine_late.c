// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_spine_late.h"

#include "worker/necrostack/py_spine_run.h"
#include "worker/py_compat.h"

/* asyncio knows one way to interrupt what a task waits for: the task is cancelled, and whoever did
 * it recognises the CancelledError, as asyncio.timeout() does. */
static int interrupt(struct spine_run *run)
{
    PyObject *count = NULL, *done;
    if (PyObject_HasAttrString(run->task, "cancelling")) { /* since Python 3.11 */
        count = PyObject_CallMethod(run->task, "cancelling", NULL);
        if (!count)
            return -1;
        run->cancelling = PyLong_AsLong(count);
        Py_DECREF(count);
    }
    run->late = true;
    run->late_at = 0;
    done = PyObject_CallMethod(run->task, "cancel", NULL);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int set_timer(struct spine_run *run);

static int look(struct spine_run *run)
{
    int failed = 0;
    Py_CLEAR(run->timer);
    if (run->late_at == 0 || run->coroutine.state != PY_COROUTINE_SUSPENDED)
        return 0;
    if (clock_mono_ns() < run->late_at)
        failed = set_timer(run);
    else if (run->late_means == SPINE_LATE_HANDLER || spine_run_stopped(run))
        failed = interrupt(run);
    else {
        run->late_at =
            clock_mono_ns() + SPINE_PULL_GRACE_NS; /* a pull may take its time until stop() */
        failed = set_timer(run);
    }
    return failed;
}

/* Of a weak reference: a run that somebody drives by hand and drops ends then. */
static PyObject *timer_fired(PyObject *reference, PyObject *unused)
{
    PyObject *run = PyObject_CallNoArgs(reference);
    int failed = !run || (run != Py_None && look((struct spine_run *)run));
    (void)unused;
    Py_XDECREF(run);
    return failed ? NULL : Py_NewRef(Py_None);
}

static int set_timer(struct spine_run *run)
{
    static PyMethodDef method = {"wait_is_too_long", timer_fired, METH_NOARGS, NULL};
    PyObject *loop = py_backend_running_loop(), *reference = NULL, *callback = NULL;
    uint64_t now = clock_mono_ns();
    double seconds = run->late_at > now ? (double)(run->late_at - now) / NS_PER_S : 0.0;
    if (loop)
        reference = PyWeakref_NewRef((PyObject *)run, NULL);
    if (reference)
        callback = PyCFunction_New(&method, reference);
    if (callback)
        run->timer = PyObject_CallMethod(loop, "call_later", "dO", seconds + 0.0005, callback);
    Py_XDECREF(callback);
    Py_XDECREF(reference);
    Py_XDECREF(loop);
    return run->timer ? 0 : -1;
}

static int find_task(struct spine_run *run)
{
    PyObject *asyncio = PyImport_ImportModule("asyncio");
    if (asyncio)
        run->task = PyObject_CallMethod(asyncio, "current_task", NULL);
    Py_XDECREF(asyncio);
    return run->task ? 0 : -1;
}

/* A timer that is set already is left: what it finds to be too early, it is set again for. So a
 * handler that awaits sets one in every handler_timeout, not one an event. */
int spine_late_suspended(struct py_coroutine *self)
{
    struct spine_run *run = (struct spine_run *)self;
    if (run->late_at == 0 || run->late)
        return 0;
    if (!run->task && find_task(run))
        return -1;
    return run->timer || run->task == Py_None ? 0 : set_timer(run);
}

/* A handler that awaits can be cancelled where it does; in between only the watchdog can reach it.
 */
void spine_late_before_step(struct py_coroutine *self)
{
    struct spine_run *run = (struct spine_run *)self;
    if (run->state == SPINE_HANDLED)
        py_watchdog_begin(&run->watch,
                          run->late || run->overtime ? clock_mono_ns() : run->called_at);
}

void spine_late_after_step(struct py_coroutine *self)
{
    struct spine_run *run = (struct spine_run *)self;
    if (run->state == SPINE_HANDLED && py_watchdog_end(&run->watch))
        run->overtime = true;
}

void spine_late_leave(struct spine_run *run)
{
    PyObject *result;
    if (!run->timer)
        return;
    result = PyObject_CallMethod(run->timer, "cancel", NULL);
    if (!result)
        PyErr_WriteUnraisable((PyObject *)run);
    Py_XDECREF(result);
    Py_CLEAR(run->timer);
}

/* Takes our request to cancel back. True: nobody else asked for it too. */
static bool uncancel(struct spine_run *run)
{
    PyObject *before, *left = NULL;
    long count = 0;
    before = py_take_exception();
    if (PyObject_HasAttrString(run->task, "uncancel")) {
        left = PyObject_CallMethod(run->task, "uncancel", NULL);
        count = left ? PyLong_AsLong(left) - run->cancelling : -1;
        if (PyErr_Occurred())
            PyErr_WriteUnraisable((PyObject *)run);
    }
    Py_XDECREF(left);
    if (before)
        py_raise_again(before);
    return count <= 0;
}

static bool is_cancelled_error(void)
{
    PyObject *before, *asyncio, *class;
    bool is;
    before = py_take_exception();
    asyncio = PyImport_ImportModule("asyncio");
    class = asyncio ? PyObject_GetAttrString(asyncio, "CancelledError") : NULL;
    is = class && PyErr_GivenExceptionMatches(before, class);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(NULL);
    Py_XDECREF(class);
    Py_XDECREF(asyncio);
    if (before)
        py_raise_again(before);
    return is;
}

/* After a wait that we interrupted: our CancelledError becomes a TimeoutError, which is a failure
 * like others; somebody else's passes. */
void spine_late_end(struct spine_run *run, PyObject *value)
{
    bool ours = uncancel(run);
    if (!value && is_cancelled_error()) {
        if (ours)
            PyErr_SetNone(PyExc_TimeoutError);
        else
            run->late = false;
    }
}
