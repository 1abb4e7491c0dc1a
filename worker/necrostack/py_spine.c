// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_spine.h"

#include "common/clock.h"
#include "worker/necrostack/py_failed_store.h"
#include "worker/necrostack/py_necrostack.h"
#include "worker/necrostack/py_spine_routes.h"
#include "worker/necrostack/py_spine_run.h"

#include <math.h>
#include <structmember.h>

static struct py_spine *of(PyObject *object)
{
    return (struct py_spine *)object;
}

/* --- construction ------------------------------------------------------------------------- */

static int check_methods(PyObject *object, const char *what, const char *const names[])
{
    for (size_t i = 0; names[i]; i++) {
        PyObject *method = PyObject_GetAttrString(object, names[i]);
        int callable = method && PyCallable_Check(method);
        Py_XDECREF(method);
        if (callable)
            continue;
        if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_AttributeError))
            PyErr_Format(PyExc_TypeError, "%s must have a method %s, %.100s has none", what,
                         names[i], Py_TYPE(object)->tp_name);
        return -1;
    }
    return 0;
}

static int take_backend(struct py_spine *self, PyObject *backend)
{
    static const char *const names[] = {"enqueue", "pull", "ack", NULL};
    if (PyType_Check(backend)) { /* a forgotten pair of parentheses */
        PyErr_Format(PyExc_TypeError, "backend must be a backend, not the class %.100s",
                     ((PyTypeObject *)backend)->tp_name);
        return -1;
    }
    if (check_methods(backend, "backend", names))
        return -1;
    Py_XSETREF(self->backend, Py_NewRef(backend));
    self->kind = py_backend_kind_of(backend);
    return 0;
}

static int take_store(struct py_spine *self, PyObject *store)
{
    static const char *const names[] = {"store", NULL};
    if (store == Py_None)
        store = py_failed_store_new();
    else if (check_methods(store, "failed_event_store", names))
        return -1;
    else
        Py_INCREF(store);
    if (store)
        Py_XSETREF(self->store, store);
    return store ? 0 : -1;
}

/* A copy of anything that can be iterated over. */
static PyObject *list_of(PyObject *organs)
{
    if (Py_TYPE(organs)->tp_iter || PySequence_Check(organs))
        return PySequence_List(organs);
    PyErr_Format(PyExc_TypeError, "organs must be a list of organs, not %.100s",
                 Py_TYPE(organs)->tp_name);
    return NULL;
}

static int take_organs(struct py_spine *self, PyObject *organs)
{
    PyObject *list = list_of(organs), *routes = list ? spine_routes_make(list) : NULL;
    if (!routes) {
        Py_XDECREF(list);
        return -1;
    }
    Py_XSETREF(self->organs, list);
    Py_XSETREF(self->routes, routes);
    return 0;
}

static int take_modes(struct py_spine *self, PyObject *enqueue, PyObject *handler)
{
    PyObject *member;
    if (spine_face_enqueue_mode(enqueue, &member, &self->enqueue_mode))
        return -1;
    Py_XSETREF(self->enqueue_mode_member, member);
    if (spine_face_handler_mode(handler, &member, &self->handler_mode))
        return -1;
    Py_XSETREF(self->handler_mode_member, member);
    return 0;
}

static int read_count(const char *name, PyObject *given, unsigned long long least,
                      unsigned long long *count)
{
    if (!given)
        return 0;
    if (!PyLong_Check(given)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int, not %.100s", name,
                     Py_TYPE(given)->tp_name);
        return -1;
    }
    *count = PyLong_AsUnsignedLongLong(given);
    if (*count < least || PyErr_Occurred()) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "%s must be at least %llu, and not huge", name, least);
        return -1;
    }
    return 0;
}

static int read_seconds(const char *name, PyObject *given, double *seconds)
{
    double value = PyFloat_AsDouble(given);
    if (value == -1.0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Format(PyExc_TypeError, "%s must be a number of seconds, not %.100s", name,
                         Py_TYPE(given)->tp_name);
            return -1;
        }
        PyErr_Clear();
        value = INFINITY; /* an int that no float can hold */
    }
    if (!isfinite(value) || value < 0) {
        PyErr_Format(PyExc_ValueError, "%s must be a finite number of seconds, not negative", name);
        return -1;
    }
    *seconds = value;
    return 0;
}

/* None: no bound. */
static int take_timeout(struct py_spine *self, PyObject *given)
{
    const double forever = 3e9;
    double seconds = 30.0;
    self->handler_timeout_ns = 0;
    if (given == Py_None)
        return 0;
    if (given && read_seconds("handler_timeout", given, &seconds))
        return -1;
    if (seconds <= 0) {
        PyErr_SetString(PyExc_ValueError, "handler_timeout must be positive, or None");
        return -1;
    }
    if (seconds < forever)
        self->handler_timeout_ns = (uint64_t)ceil(seconds * NS_PER_S);
    return 0;
}

static int take_numbers(struct py_spine *self, PyObject *max_steps, PyObject *attempts,
                        PyObject *delay, PyObject *failures)
{
    self->max_steps = 10000;
    self->retry_attempts = 3;
    self->retry_base_delay = 0.1;
    self->max_failures = 10;
    if (read_count("max_steps", max_steps, 0, &self->max_steps) ||
        read_count("retry_attempts", attempts, 0, &self->retry_attempts) ||
        read_count("max_consecutive_backend_failures", failures, 1, &self->max_failures))
        return -1;
    return delay ? read_seconds("retry_base_delay", delay, &self->retry_base_delay) : 0;
}

static int spine_init(PyObject *object, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"organs",
                            "backend",
                            "max_steps",
                            "enqueue_failure_mode",
                            "handler_failure_mode",
                            "failed_event_store",
                            "retry_attempts",
                            "retry_base_delay",
                            "max_consecutive_backend_failures",
                            "handler_timeout",
                            NULL};
    struct py_spine *self = of(object);
    PyObject *organs, *backend, *max_steps = NULL, *enqueue = NULL, *handler = NULL;
    PyObject *store = Py_None, *attempts = NULL, *delay = NULL, *failures = NULL, *timeout = NULL;
    bool failed;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|OOOOOOOO:Spine", names, &organs, &backend,
                                     &max_steps, &enqueue, &handler, &store, &attempts, &delay,
                                     &failures, &timeout))
        return -1;
    if (self->run) {
        PyErr_SetString(PyExc_RuntimeError, "Spine is already running");
        return -1;
    }
    self->being_made++;
    failed = take_organs(self, organs) || take_backend(self, backend) || take_store(self, store) ||
             take_modes(self, enqueue, handler) || take_timeout(self, timeout) ||
             take_numbers(self, max_steps, attempts, delay, failures);
    self->being_made--;
    if (failed)
        return -1;
    Py_XSETREF(self->enqueue_failures, PyDict_New());
    return self->enqueue_failures ? 0 : -1;
}

/* --- running ------------------------------------------------------------------------------ */

static PyObject *make_run(struct py_spine *self, PyObject *start, bool unlimited)
{
    if (!self->enqueue_failures) {
        PyErr_SetString(PyExc_RuntimeError, "Spine.__init__() was not called");
        return NULL;
    }
    if (start && !py_event_check(start)) {
        PyErr_Format(PyExc_TypeError, "start_event must be an Event or None, not %.100s",
                     Py_TYPE(start)->tp_name);
        return NULL;
    }
    return spine_run_new(self, start, unlimited);
}

static PyObject *spine_run_method(PyObject *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"start_event", NULL};
    PyObject *start = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:run", names, &start))
        return NULL;
    return make_run(of(self), start == Py_None ? NULL : start, false);
}

static PyObject *spine_run_forever(PyObject *self, PyObject *unused)
{
    (void)unused;
    return make_run(of(self), NULL, true);
}

static PyObject *spine_stop(PyObject *self, PyObject *unused)
{
    (void)unused;
    of(self)->stops++;
    if (of(self)->run)
        spine_run_stop(of(self)->run);
    Py_RETURN_NONE;
}

/* --- asking ------------------------------------------------------------------------------- */

static PyObject *spine_get_stats(PyObject *self, PyObject *unused)
{
    (void)unused;
    return spine_face_stats(&of(self)->stats);
}

static PyObject *sum_of_values(PyObject *counts)
{
    unsigned long long sum = 0;
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(counts, &position, &key, &value))
        sum += PyLong_AsUnsignedLongLong(value);
    return PyLong_FromUnsignedLongLong(sum);
}

static PyObject *spine_get_failures(PyObject *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"event_type", NULL};
    PyObject *counts = of(self)->enqueue_failures, *type = Py_None, *count;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:get_enqueue_failure_count", names, &type))
        return NULL;
    if (type == Py_None || !counts)
        return counts ? sum_of_values(counts) : PyLong_FromLong(0);
    count = PyDict_GetItemWithError(counts, type);
    if (count)
        return Py_NewRef(count);
    return PyErr_Occurred() ? NULL : PyLong_FromLong(0);
}

static PyObject *spine_get_running(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(of(self)->run != NULL);
}

static PyObject *spine_get_timeout(PyObject *self, void *unused)
{
    (void)unused;
    if (of(self)->handler_timeout_ns == 0)
        Py_RETURN_NONE;
    return PyFloat_FromDouble((double)of(self)->handler_timeout_ns / NS_PER_S);
}

static PyMethodDef spine_methods[] = {
    {"run", (PyCFunction)(void (*)(void))spine_run_method, METH_VARARGS | METH_KEYWORDS,
     "run($self, /, start_event=None)\n--\n\nCarry events from the backend to the organs "
     "(awaitable) and tell what was done: a SpineStats. With a start event on an InMemoryBackend "
     "until that is empty, otherwise until stop()."},
    {"run_forever", spine_run_forever, METH_NOARGS,
     "run_forever($self, /)\n--\n\nrun() without a start event and without a limit of steps."},
    {"stop", spine_stop, METH_NOARGS,
     "stop($self, /)\n--\n\nEnd the run under way after the event in hand, and those that were "
     "made "
     "and have not begun."},
    {"get_stats", spine_get_stats, METH_NOARGS,
     "get_stats($self, /)\n--\n\nA copy of the counts of this run, or of the last one."},
    {"get_enqueue_failure_count", (PyCFunction)(void (*)(void))spine_get_failures,
     METH_VARARGS | METH_KEYWORDS,
     "get_enqueue_failure_count($self, /, event_type=None)\n--\n\nHow many events, or events of a "
     "type, the backend did not take since the Spine was made."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef spine_members[] = {
    {"organs", T_OBJECT, offsetof(struct py_spine, organs), READONLY,
     "The list of organs, a copy of the one given."},
    {"backend", T_OBJECT, offsetof(struct py_spine, backend), READONLY,
     "Where events come from and go to."},
    {"failed_event_store", T_OBJECT, offsetof(struct py_spine, store), READONLY,
     "Keeps events that were not handled, or not enqueued, where the failure mode is STORE."},
    {"enqueue_failure_mode", T_OBJECT, offsetof(struct py_spine, enqueue_mode_member), READONLY,
     "What becomes of an emitted event that the backend does not take."},
    {"handler_failure_mode", T_OBJECT, offsetof(struct py_spine, handler_mode_member), READONLY,
     "What becomes of an event whose handler fails."},
    {"max_steps", T_ULONGLONG, offsetof(struct py_spine, max_steps), READONLY,
     "After as many events run() raises RuntimeError."},
    {"retry_attempts", T_ULONGLONG, offsetof(struct py_spine, retry_attempts), READONLY,
     "How often an enqueue that failed is tried again where the failure mode is RETRY."},
    {"retry_base_delay", T_DOUBLE, offsetof(struct py_spine, retry_base_delay), READONLY,
     "Seconds before the first of these attempts, twice as long before each further one."},
    {"max_consecutive_backend_failures", T_ULONGLONG, offsetof(struct py_spine, max_failures),
     READONLY, "After as many pulls that fail in a row run() raises BackendUnavailableError."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef spine_attributes[] = {
    {"handler_timeout", spine_get_timeout, NULL,
     "Seconds that a handler may take; None: as long as it likes.", NULL},
    {"running", spine_get_running, NULL, "Whether a run is under way.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* --- the object --------------------------------------------------------------------------- */

static int spine_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(of(self)->organs);
    Py_VISIT(of(self)->routes);
    Py_VISIT(of(self)->backend);
    Py_VISIT(of(self)->store);
    Py_VISIT(of(self)->enqueue_mode_member);
    Py_VISIT(of(self)->handler_mode_member);
    Py_VISIT(of(self)->enqueue_failures);
    return 0;
}

/* The backend stays: a run that goes with us gives its event back to it. */
static int spine_clear(PyObject *self)
{
    Py_CLEAR(of(self)->organs);
    Py_CLEAR(of(self)->routes);
    Py_CLEAR(of(self)->store);
    return 0;
}

static void spine_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    if (of(self)->weak_references)
        PyObject_ClearWeakRefs(self);
    spine_clear(self);
    Py_CLEAR(of(self)->backend);
    Py_CLEAR(of(self)->enqueue_mode_member);
    Py_CLEAR(of(self)->handler_mode_member);
    Py_CLEAR(of(self)->enqueue_failures);
    Py_TYPE(self)->tp_free(self);
}

static PyTypeObject spine_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "necrostack.core.spine.Spine",
    .tp_doc =
        "Spine(organs, backend, max_steps=10000, enqueue_failure_mode=EnqueueFailureMode.STORE,\n"
        "      handler_failure_mode=HandlerFailureMode.LOG, failed_event_store=None,\n"
        "      retry_attempts=3, retry_base_delay=0.1, max_consecutive_backend_failures=10,\n"
        "      handler_timeout=30.0)\n\n"
        "Carries events from a backend to the organs that listen to them.",
    .tp_basicsize = sizeof(struct py_spine),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_init = spine_init,
    .tp_dealloc = spine_dealloc,
    .tp_traverse = spine_traverse,
    .tp_clear = spine_clear,
    .tp_methods = spine_methods,
    .tp_members = spine_members,
    .tp_getset = spine_attributes,
    .tp_weaklistoffset = offsetof(struct py_spine, weak_references),
};

int py_spine_add(PyObject *module)
{
    return py_failed_store_add(module) || PyModule_AddType(module, &spine_type) ? -1 : 0;
}
