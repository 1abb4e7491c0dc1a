// SPDX-License-Identifier: Apache-2.0
/*
 * py_spine_publish - the steps of a run that hand over what the handlers emitted and acknowledge
 * the event (py_spine_run.h).
 *
 * A struct backend gets both in one call, all or nothing, with the question for the next event
 * behind it in the same write. Only where events are to be stored that it does not take, they are
 * offered one by one, and the acknowledgement comes last, as with a backend of somebody's.
 */
#include <Python.h>

#include "worker/necrostack/py_spine_run.h"

#include "worker/necrostack/py_failed_store.h"
#include "worker/necrostack/py_logging.h"
#include "worker/necrostack/py_necrostack.h"

#include <errno.h>
#include <math.h>

/* --- asking ------------------------------------------------------------------------------- */

/* After the struct backend was called: on to `state`, now or when it has answered. */
static enum spine_step settle(struct spine_run *run, int result, enum spine_state state)
{
    run->settle.result = result;
    run->settle.under_way = result == -EINPROGRESS;
    run->state = state;
    if (!run->settle.under_way)
        return SPINE_ON;
    spine_pull_ahead(run);
    return spine_run_await_call(run, &run->settle, state);
}

static enum spine_step send_to_bridge(struct spine_run *run)
{
    struct backend *backend = run->bridge->backend;
    struct event **events = run->emitted + run->published;
    int result;
    spine_run_prepare(run, &run->settle);
    run->publishing = run->singly ? 1 : run->emitted_count - run->published;
    run->acknowledged = run->event && run->acks && !run->singly;
    if (!backend)
        result = -ESHUTDOWN;
    else if (run->acknowledged)
        result = backend_ack(backend, &run->delivery, 1, events, run->publishing,
                             &run->settle.call.plain);
    else
        result = backend_enqueue(backend, events, run->publishing, &run->settle.call.plain);
    return settle(run, result, SPINE_PUBLISHED);
}

static enum spine_step send_to_object(struct spine_run *run)
{
    static PyObject *name;
    if (!name && !(name = PyUnicode_InternFromString("enqueue")))
        return SPINE_FAILED;
    run->publishing = 1;
    return spine_run_await(run,
                           PyObject_CallMethodOneArg(run->spine->backend, name,
                                                     spine_run_emitted(run, run->published)),
                           SPINE_PUBLISHED);
}

enum spine_step spine_publish_send(struct spine_run *run, PyObject *value)
{
    (void)value;
    if (run->published == run->emitted_count)
        return spine_run_on(run, SPINE_ACK);
    return run->bridge ? send_to_bridge(run) : send_to_object(run);
}

/* The start event is emitted by nobody. */
enum spine_step spine_publish_begin(struct spine_run *run, PyObject *value)
{
    (void)value;
    run->emitted = PyMem_New(struct event *, 1);
    if (!run->emitted) {
        PyErr_NoMemory();
        return SPINE_FAILED;
    }
    Py_INCREF(run->start);
    run->emitted[0] = py_event_of(run->start);
    run->emitted_count = run->emitted_room = 1;
    return spine_run_on(run, SPINE_PUBLISH);
}

/* --- failures ----------------------------------------------------------------------------- */

static int count_failure(struct spine_run *run, PyObject *event)
{
    PyObject *failures = run->spine->enqueue_failures, *type = ((struct py_event *)event)->type;
    PyObject *count = PyDict_GetItemWithError(failures, type), *next;
    int failed;
    if (!count && PyErr_Occurred())
        return -1;
    run->spine->stats.enqueue_failures++;
    next = PyLong_FromUnsignedLongLong(count ? PyLong_AsUnsignedLongLong(count) + 1 : 1);
    failed = !next || PyDict_SetItem(failures, type, next);
    Py_XDECREF(next);
    return failed ? -1 : 0;
}

/* All that were on their way, counted and told of. */
static int note_failures(struct spine_run *run, PyObject *error)
{
    for (size_t i = 0; i < run->publishing; i++) {
        PyObject *event = spine_run_emitted(run, run->published + i);
        if (count_failure(run, event))
            return -1;
        if (py_logging_failed(event, error, "Failed to enqueue %U: %S",
                              ((struct py_event *)event)->type, error))
            return -1;
    }
    return 0;
}

static enum spine_step give_up(struct spine_run *run, PyObject *error)
{
    if (!note_failures(run, error))
        spine_face_raise_enqueue_error(spine_run_emitted(run, run->published), error);
    return SPINE_FAILED;
}

static enum spine_step retry(struct spine_run *run, PyObject *error)
{
    double seconds;
    if (run->attempts >= run->spine->retry_attempts)
        return give_up(run, error);
    seconds = ldexp(run->spine->retry_base_delay, run->attempts < 64 ? (int)run->attempts : 64);
    run->attempts++;
    return spine_run_sleep(run, seconds, SPINE_PUBLISH);
}

static enum spine_step on_to_next(struct spine_run *run)
{
    run->published += run->publishing;
    run->attempts = 0;
    return spine_run_on(run, SPINE_PUBLISH);
}

static enum spine_step store(struct spine_run *run, PyObject *error)
{
    static PyObject *name;
    PyObject *store = run->spine->store, *event = spine_run_emitted(run, run->published);
    if (run->publishing > 1) {
        run->singly = true;
        return spine_run_on(run, SPINE_PUBLISH);
    }
    /* What was refused together with an acknowledgement is stored, and the rest is to be
     * acknowledged alone. */
    run->singly = true;
    if (note_failures(run, error))
        return SPINE_FAILED;
    if (py_failed_store_check_exact(store))
        return py_failed_store_keep(store, event, error) ? SPINE_FAILED : on_to_next(run);
    if (!name && !(name = PyUnicode_InternFromString("store")))
        return SPINE_FAILED;
    return spine_run_await(run, PyObject_CallMethodObjArgs(store, name, event, error, NULL),
                           SPINE_STORED);
}

/* With the exception of the backend set. */
static enum spine_step not_taken(struct spine_run *run)
{
    static enum spine_step (*const reactions[])(struct spine_run * run, PyObject * error) = {
        [SPINE_ENQUEUE_FAIL] = give_up,
        [SPINE_ENQUEUE_RETRY] = retry,
        [SPINE_ENQUEUE_STORE] = store,
    };
    PyObject *error = spine_run_take_failure();
    enum spine_step step;
    if (!error)
        return SPINE_FAILED;
    run->acknowledged = false;
    step = reactions[run->spine->enqueue_mode](run, error);
    Py_DECREF(error);
    return step;
}

/* A store that does not take it: an event that was emitted can still come again with the one that
 * is being handled, so that one is not acknowledged; the start event is its caller's. */
enum spine_step spine_publish_stored(struct spine_run *run, PyObject *value)
{
    if (!value) {
        PyObject *error;
        int failed;
        if (!run->event)
            return SPINE_FAILED;
        error = spine_run_take_failure();
        failed = !error || py_logging_failed(run->event, error,
                                             "Failed event store raised exception: %S", error);
        Py_XDECREF(error);
        if (failed)
            return SPINE_FAILED;
        run->acks = false;
    }
    return on_to_next(run);
}

/* --- answers ------------------------------------------------------------------------------ */

enum spine_step spine_publish_sent(struct spine_run *run, PyObject *value)
{
    if (value && run->bridge && run->settle.under_way)
        return spine_run_await_call(run, &run->settle, SPINE_PUBLISHED);
    if (value && run->bridge && run->settle.result) {
        spine_run_raise_errno(run, -run->settle.result);
        return not_taken(run);
    }
    if (!value)
        return not_taken(run);
    if (run->event)
        run->spine->stats.emitted += run->publishing;
    return on_to_next(run);
}

static enum spine_step settled(struct spine_run *run)
{
    spine_run_forget_event(run);
    return spine_run_on(run, SPINE_PULL);
}

enum spine_step spine_publish_ack(struct spine_run *run, PyObject *value)
{
    static PyObject *name;
    (void)value;
    if (!run->event || !run->acks || run->acknowledged)
        return settled(run);
    run->acknowledged = true;
    if (run->bridge) {
        if (spine_acks_send(run))
            return SPINE_FAILED;
        return spine_publish_acked(run, Py_None);
    }
    if (!name && !(name = PyUnicode_InternFromString("ack")))
        return SPINE_FAILED;
    return spine_run_await(run, PyObject_CallMethodOneArg(run->spine->backend, name, run->event),
                           SPINE_ACKED);
}

/* Or there are so many of a struct backend under way that some have to end first. */
enum spine_step spine_publish_acked(struct spine_run *run, PyObject *value)
{
    struct spine_acks *acks = &run->acks_under_way;
    if (!value && spine_acks_failed(run, run->event))
        return SPINE_FAILED;
    if (value && run->bridge && spine_acks_are_too_many(acks))
        return spine_run_await_flag(run, &acks->waited, false, SPINE_ACKED);
    return settled(run);
}
