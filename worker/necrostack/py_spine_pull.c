// SPDX-License-Identifier: Apache-2.0
/*
 * py_spine_pull - the steps of a run that fetch the next event (py_spine_run.h).
 */
#include <Python.h>

#include "worker/necrostack/py_spine_run.h"

#include "common/clock.h"
#include "worker/necrostack/py_logging.h"
#include "worker/necrostack/py_necrostack.h"

#include <errno.h>

/* What a backend of somebody's is asked to wait; stop() is seen at the latest then. */
#define PULL_SECONDS 0.1
/* Waits after failed pulls, and after empty ones that did not wait: doubled each time. */
#define BACKOFF_FIRST 0.01
#define BACKOFF_MOST  1.0
#define NAP_FIRST     0.001
#define NAP_MOST      0.05

/* --- failed pulls ------------------------------------------------------------------------- */

static double backoff(unsigned long long failures)
{
    double seconds = BACKOFF_FIRST;
    while (--failures > 0 && seconds < BACKOFF_MOST)
        seconds *= 2;
    return seconds < BACKOFF_MOST ? seconds : BACKOFF_MOST;
}

/* With the exception of the pull set. Who stops a Spine may close its backend at once. */
static enum spine_step pull_failed(struct spine_run *run)
{
    struct py_spine *spine = run->spine;
    PyObject *error = spine_run_take_failure();
    enum spine_step step = SPINE_FAILED;
    if (!error)
        return SPINE_FAILED;
    if (spine_run_stopped(run)) {
        Py_DECREF(error);
        return spine_run_on(run, SPINE_END);
    }
    spine->stats.backend_errors++;
    run->failed_pulls++;
    if (py_logging_failed(NULL, error, "Backend pull failed (%llu of %llu): %S", run->failed_pulls,
                          spine->max_failures, error))
        step = SPINE_FAILED;
    else if (run->failed_pulls >= spine->max_failures)
        spine_face_raise_unavailable(run->failed_pulls, error);
    else
        step = spine_run_sleep(run, backoff(run->failed_pulls), SPINE_PULL);
    Py_DECREF(error);
    return step;
}

/* --- a struct backend --------------------------------------------------------------------- */

void spine_pull_ahead(struct spine_run *run)
{
    if (run->pull_asked || spine_run_stopped(run) || !run->bridge->backend)
        return;
    spine_run_prepare(run, &run->pull);
    run->pull.call.pull.into = &run->next;
    run->pull.call.pull.room = 1;
    run->pull.call.pull.count = 0;
    run->pull.call.pull.wait_ns = run->ends_when_empty ? 0 : UINT64_MAX;
    run->pull.result = backend_pull(run->bridge->backend, &run->pull.call.pull);
    run->pull.under_way = run->pull.result == -EINPROGRESS;
    run->pull_asked = true;
}

static enum spine_step ask_bridge(struct spine_run *run)
{
    if (!run->bridge->backend) {
        spine_run_raise_errno(run, ESHUTDOWN);
        return SPINE_FAILED;
    }
    spine_pull_ahead(run);
    return run->pull.under_way ? spine_run_await_call(run, &run->pull, SPINE_PULLED)
                               : spine_pull_use(run, Py_None);
}

/* An entry that is no event for Python goes to the dead letters, and the next one is asked for. */
static enum spine_step unreadable(struct spine_run *run)
{
    int failed = py_backend_refuse(run->bridge, &run->next);
    event_release(run->next.event);
    return failed ? pull_failed(run) : spine_run_on(run, SPINE_PULL);
}

static enum spine_step use_bridge(struct spine_run *run)
{
    if (run->acks_under_way.failed && spine_acks_report(run))
        return SPINE_FAILED;
    if (run->pull.under_way)
        return spine_run_stopped(run) ? spine_run_on(run, SPINE_END)
                                      : spine_run_await_call(run, &run->pull, SPINE_PULLED);
    run->pull_asked = false;
    if (run->pull.result) {
        spine_run_raise_errno(run, -run->pull.result);
        return pull_failed(run);
    }
    run->failed_pulls = 0;
    if (run->pull.call.pull.count == 0)
        return spine_run_on(run, run->ends_when_empty ? SPINE_END : SPINE_PULL);
    run->event = py_event_wrap(run->next.event);
    if (!run->event)
        return unreadable(run);
    run->delivery = run->next;
    run->delivery.event = py_event_of(run->event);
    event_release(run->next.event);
    return spine_run_on(run, SPINE_TAKE);
}

/* --- a backend of somebody's -------------------------------------------------------------- */

static enum spine_step ask_object(struct spine_run *run)
{
    static PyObject *name;
    PyObject *patience, *awaitable = NULL;
    if (!name && !(name = PyUnicode_InternFromString("pull")))
        return SPINE_FAILED;
    patience = PyFloat_FromDouble(PULL_SECONDS);
    if (patience)
        awaitable = PyObject_CallMethodOneArg(run->spine->backend, name, patience);
    Py_XDECREF(patience);
    run->asked_at = run->now;
    run->late_means = SPINE_LATE_PULL;
    run->late_at = run->now + SPINE_PULL_GRACE_NS;
    return spine_run_await(run, awaitable, SPINE_PULLED);
}

/* One that answers "nothing" without having waited would be asked without end. */
static enum spine_step nothing_came(struct spine_run *run)
{
    if (spine_run_stopped(run))
        return spine_run_on(run, SPINE_END);
    if (clock_mono_ns() - run->asked_at >= NS_PER_MS) {
        run->nap = 0;
        return spine_run_on(run, SPINE_PULL);
    }
    run->nap = run->nap > 0 ? run->nap * 2 : NAP_FIRST;
    if (run->nap > NAP_MOST)
        run->nap = NAP_MOST;
    return spine_run_sleep(run, run->nap, SPINE_PULL);
}

static enum spine_step use_object(struct spine_run *run, PyObject *value)
{
    bool late = run->late;
    run->late = false;
    if (!value && late && spine_run_stopped(run)) {
        PyErr_Clear();
        return spine_run_on(run, SPINE_END);
    }
    if (!value)
        return pull_failed(run);
    if (value == Py_None)
        return nothing_came(run);
    if (!py_event_check(value)) {
        PyErr_Format(PyExc_TypeError, "pull() returned %.100s, not an Event or None",
                     Py_TYPE(value)->tp_name);
        return pull_failed(run);
    }
    run->failed_pulls = 0;
    run->nap = 0;
    run->event = Py_NewRef(value);
    run->delivery = (struct delivery){.event = py_event_of(value), .attempt = 1};
    return spine_run_on(run, SPINE_TAKE);
}

/* --- the steps ---------------------------------------------------------------------------- */

enum spine_step spine_pull_ask(struct spine_run *run, PyObject *value)
{
    (void)value;
    if (run->acks_under_way.failed && spine_acks_report(run))
        return SPINE_FAILED;
    if (spine_run_stopped(run))
        return spine_run_on(run, SPINE_END);
    run->now = clock_mono_ns();
    if (run->now >= run->slice_end)
        return SPINE_YIELD;
    return run->bridge ? ask_bridge(run) : ask_object(run);
}

enum spine_step spine_pull_use(struct spine_run *run, PyObject *value)
{
    if (!run->bridge)
        return use_object(run, value);
    return value ? use_bridge(run) : pull_failed(run);
}

enum spine_step spine_pull_take(struct spine_run *run, PyObject *value)
{
    struct py_spine *spine = run->spine;
    struct py_event *event = (struct py_event *)run->event;
    (void)value;
    __builtin_prefetch(((PyDictObject *)event->payload)->ma_keys);
    if (!run->unlimited && run->steps >= spine->max_steps) {
        PyErr_SetString(PyExc_RuntimeError, "Max steps exceeded");
        return SPINE_FAILED;
    }
    run->steps++;
    run->acks = true;
    run->organ = 0;
    run->organs = PyDict_GetItemWithError(spine->routes, event->type);
    if (run->organs)
        return spine_run_on(run, SPINE_HANDLE);
    if (PyErr_Occurred())
        return SPINE_FAILED;
    if (py_logging_enabled(PY_LOGGING_DEBUG) && py_logging_unheard(run->event))
        return SPINE_FAILED;
    spine->stats.processed++;
    return spine_run_on(run, SPINE_PUBLISH);
}
