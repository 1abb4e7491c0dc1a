// SPDX-License-Identifier: Apache-2.0
/*
 * py_spine_handle - the steps of a run that call the handlers of one event (py_spine_run.h).
 *
 * What the handlers return is collected and goes out when all of them are done, together with the
 * acknowledgement: an event whose handling was cut short has emitted nothing.
 */
#include <Python.h>

#include "worker/necrostack/py_spine_run.h"

#include "common/clock.h"
#include "worker/necrostack/py_failed_store.h"
#include "worker/necrostack/py_logging.h"
#include "worker/necrostack/py_necrostack.h"

static PyObject *current_organ(const struct spine_run *run)
{
    return PyTuple_GET_ITEM(run->organs, run->organ);
}

static enum spine_step next_organ(struct spine_run *run)
{
    run->organ++;
    return spine_run_on(run, SPINE_HANDLE);
}

/* The name of an organ as a str: what is no Organ may have none, or one that fails
 * to be text, and is called by its class then. */
static PyObject *organ_name(PyObject *organ)
{
    PyObject *name = PyObject_GetAttrString(organ, "name");
    if (name && !PyUnicode_Check(name))
        Py_SETREF(name, PyObject_Str(name));
    if (name || !spine_run_is_failure())
        return name;
    PyErr_Clear();
    return PyUnicode_FromString(Py_TYPE(organ)->tp_name);
}

/* --- what came of it ---------------------------------------------------------------------- */

static int make_room(struct spine_run *run, size_t extra)
{
    size_t want = run->emitted_count + extra, room = run->emitted_room ? run->emitted_room : 8;
    struct event **bigger;
    while (room < want)
        room *= 2;
    if (room == run->emitted_room)
        return 0;
    bigger = PyMem_Resize(run->emitted, struct event *, room);
    if (!bigger) {
        PyErr_NoMemory();
        return -1;
    }
    run->emitted = bigger;
    run->emitted_room = room;
    return 0;
}

static int not_an_event(PyObject *object, const char *where)
{
    PyErr_Format(PyExc_TypeError,
                 "handler returned %s%.100s, expected Event, list of Events or None", where,
                 Py_TYPE(object)->tp_name);
    return -1;
}

static int collect_event(struct spine_run *run, PyObject *event)
{
    if (!py_event_check(event))
        return not_an_event(event, "");
    if (make_room(run, 1))
        return -1;
    run->emitted[run->emitted_count++] = py_event_of(Py_NewRef(event));
    return 0;
}

/* A list that nobody else has hands its references over: thousands of events are then not looked at
 * once more to count one up, and again to count it down. */
static void take_items(PyObject *list)
{
    if (PyList_CheckExact(list) && Py_REFCNT(list) == 1) {
        Py_SET_SIZE((PyVarObject *)list, 0);
        return;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        Py_INCREF(PyList_GET_ITEM(list, i));
}

/* All of a list or nothing; no code of anybody's runs meanwhile. */
static int collect_list(struct spine_run *run, PyObject *list)
{
    Py_ssize_t count = PyList_GET_SIZE(list);
    struct event **into;
    if (make_room(run, (size_t)count))
        return -1;
    into = run->emitted + run->emitted_count;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *event = PyList_GET_ITEM(list, i);
        if (!py_event_check(event))
            return not_an_event(event, "a list with ");
        into[i] = py_event_of(event);
    }
    take_items(list);
    run->emitted_count += (size_t)count;
    return 0;
}

/* What somebody has put into a payload may run code when it is looked at, so this comes when the
 * references are ours. */
static int make_ready(struct spine_run *run, size_t first)
{
    size_t ready = first;
    if (!run->spine->kind || !run->spine->kind->writes)
        return 0;
    while (ready < run->emitted_count && py_event_ready(spine_run_emitted(run, ready)) == 0)
        ready++;
    if (ready == run->emitted_count)
        return 0;
    while (run->emitted_count > first)
        event_release(run->emitted[--run->emitted_count]);
    return -1;
}

static int collect_result(struct spine_run *run, PyObject *result)
{
    size_t first = run->emitted_count;
    if (result == Py_None)
        return 0;
    if (PyList_Check(result) ? collect_list(run, result) : collect_event(run, result))
        return -1;
    return make_ready(run, first);
}

static int log_emitted(struct spine_run *run, size_t first)
{
    size_t count = run->emitted_count - first;
    PyObject *name, *few[8], **types = few;
    int failed = -1;
    if (count == 0 || !py_logging_enabled(PY_LOGGING_INFO))
        return 0;
    if (count > sizeof(few) / sizeof(few[0]) && !(types = PyMem_New(PyObject *, count))) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < count; i++)
        types[i] = ((struct py_event *)spine_run_emitted(run, first + i))->type;
    name = organ_name(current_organ(run));
    if (name)
        failed = py_logging_emitted(run->event, name, types, count);
    Py_XDECREF(name);
    if (types != few)
        PyMem_Free(types);
    return failed;
}

/* --- failures ----------------------------------------------------------------------------- */

static int log_raised(struct spine_run *run)
{
    PyObject *name;
    int failed;
    if (!py_logging_enabled(PY_LOGGING_ERROR))
        return 0;
    name = organ_name(current_organ(run));
    failed = !name || py_logging_raised(run->event, name, run->failure);
    Py_XDECREF(name);
    return failed;
}

static enum spine_step store_failure(struct spine_run *run)
{
    static PyObject *name;
    PyObject *store = run->spine->store;
    if (py_failed_store_check_exact(store))
        return py_failed_store_keep(store, run->event, run->failure) ? SPINE_FAILED
                                                                     : next_organ(run);
    if (!name && !(name = PyUnicode_InternFromString("store")))
        return SPINE_FAILED;
    return spine_run_await(
        run, PyObject_CallMethodObjArgs(store, name, run->event, run->failure, NULL), SPINE_KEPT);
}

static enum spine_step handler_failed(struct spine_run *run)
{
    PyObject *failure = spine_run_take_failure();
    if (!failure)
        return SPINE_FAILED;
    Py_XSETREF(run->failure, failure);
    run->spine->stats.handler_errors++;
    if (log_raised(run))
        return SPINE_FAILED;
    if (run->spine->handler_mode == SPINE_HANDLER_STORE)
        return store_failure(run);
    if (run->spine->handler_mode == SPINE_HANDLER_NACK)
        run->acks = false;
    return next_organ(run);
}

/* A store that does not take the event leaves it to the backend: it is not acknowledged. */
enum spine_step spine_handle_kept(struct spine_run *run, PyObject *value)
{
    if (!value) {
        PyObject *error = spine_run_take_failure();
        int failed = !error || py_logging_failed(run->event, error,
                                                 "Failed event store raised exception: %S", error);
        Py_XDECREF(error);
        if (failed)
            return SPINE_FAILED;
        run->acks = false;
    }
    return next_organ(run);
}

/* --- calling ------------------------------------------------------------------------------ */

static void raise_timeout(const struct spine_run *run)
{
    PyObject *name, *text = NULL;
    PyErr_Clear();
    name = organ_name(current_organ(run));
    if (name)
        text =
            PyUnicode_FromFormat("handler %U exceeded handler_timeout (%llu ms)", name,
                                 (unsigned long long)(run->spine->handler_timeout_ns / NS_PER_MS));
    if (text)
        PyErr_SetObject(PyExc_TimeoutError, text);
    Py_XDECREF(text);
    Py_XDECREF(name);
}

static int log_dispatching(struct spine_run *run)
{
    PyObject *name;
    int failed;
    if (!py_logging_enabled(PY_LOGGING_INFO))
        return 0;
    name = organ_name(current_organ(run));
    failed = !name || py_logging_dispatching(run->event, name);
    Py_XDECREF(name);
    return failed ? -1 : 0;
}

/* What the handler returned, which may have to be awaited. The watch bounds it. */
static PyObject *call_handler(struct spine_run *run)
{
    static PyObject *name;
    PyObject *arguments[] = {current_organ(run), run->event}, *result;
    if (!name && !(name = PyUnicode_InternFromString("handle")))
        return NULL;
    run->called_at = run->now;
    py_watchdog_begin(&run->watch, run->called_at);
    result = PyObject_VectorcallMethod(name, arguments, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    run->overtime = py_watchdog_end(&run->watch);
    return result;
}

static enum spine_step all_handled(struct spine_run *run)
{
    run->spine->stats.processed++;
    return run->emitted_count ? spine_run_on(run, SPINE_PUBLISH) : spine_publish_ack(run, Py_None);
}

enum spine_step spine_handle_call(struct spine_run *run, PyObject *value)
{
    PyObject *result;
    enum spine_step step;
    (void)value;
    if (run->organ >= PyTuple_GET_SIZE(run->organs))
        return all_handled(run);
    if (run->organ > 0 && (run->now = clock_mono_ns()) >= run->slice_end)
        return SPINE_YIELD;
    if (log_dispatching(run))
        return SPINE_FAILED;
    result = call_handler(run);
    if (result && py_coroutine_is_awaitable(result) && !run->overtime) {
        run->late_means = SPINE_LATE_HANDLER;
        run->late_at =
            run->spine->handler_timeout_ns ? run->now + run->spine->handler_timeout_ns : 0;
        return spine_run_await(run, result, SPINE_HANDLED);
    }
    run->state = SPINE_HANDLED;
    step = result || spine_run_is_failure() ? spine_handle_use(run, result) : SPINE_FAILED;
    Py_XDECREF(result);
    return step;
}

enum spine_step spine_handle_use(struct spine_run *run, PyObject *value)
{
    size_t before = run->emitted_count;
    if (run->late || run->overtime) {
        run->late = run->overtime = false;
        raise_timeout(run);
        return handler_failed(run);
    }
    if (!value || collect_result(run, value))
        return handler_failed(run);
    return log_emitted(run, before) ? SPINE_FAILED : next_organ(run);
}
