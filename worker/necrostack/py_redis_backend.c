// SPDX-License-Identifier: Apache-2.0
/*
 * py_redis_backend - the class RedisBackend: redis_backend.h in asyncio, for programs that call it
 * and for the Spine.
 *
 * One backend object serves one running loop at a time and follows its program from one
 * asyncio.run() to the next with all its connections and deliveries. In a forked child it starts
 * anew, without touching what it shares with its parent. After close() it is of no more use.
 */
#include <Python.h>

#include <structmember.h>

#include <errno.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/necrostack/delivery_table.h"
#include "worker/necrostack/py_backend.h"
#include "worker/necrostack/py_necrostack.h"
#include "worker/necrostack/py_redis_settings.h"

#define FACE "necrostack.backends.redis_backend"

struct py_redis_backend {
    PyObject_HEAD PyObject *dict, *weak_references;
    struct py_backend *bridge;
    struct py_redis_settings settings;
    struct delivery_table held; /* by those who call pull() themselves */
    struct backend_counters closed_with;
    pid_t process;
    bool made, closed;
};

static struct py_redis_backend *redis_of(PyObject *object)
{
    return (struct py_redis_backend *)object;
}

/* --- making and ending -------------------------------------------------------------------- */

static int open_backend(struct py_redis_backend *self)
{
    char words[256];
    struct backend *backend = redis_backend_open(&self->settings.c, words, sizeof words);
    if (!backend) {
        PyErr_SetString(PyExc_ValueError, words);
        return -1;
    }
    self->bridge = py_backend_new(backend);
    if (!self->bridge) {
        backend_close(backend);
        return -1;
    }
    self->process = getpid();
    return 0;
}

static int redis_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    struct py_redis_backend *self = redis_of(object);
    if (self->made) {
        PyErr_SetString(PyExc_RuntimeError, "RedisBackend.__init__() was called already");
        return -1;
    }
    if (py_redis_settings_parse(&self->settings, args, kwargs) || open_backend(self)) {
        py_redis_settings_clear(&self->settings);
        return -1;
    }
    self->made = true;
    return 0;
}

/* In a child the descriptors are its parent's too: the bridge is left as it is, never to be closed.
 */
static int begin_in_child(struct py_redis_backend *self)
{
    self->bridge = NULL;
    delivery_table_clear(&self->held);
    return py_redis_settings_rename(&self->settings) || open_backend(self) ? -1 : 0;
}

/* One that is this process's to use and to close. */
static bool has_backend(const struct py_redis_backend *self)
{
    return self->bridge && self->bridge->backend && self->process == getpid();
}

static int redis_end(PyObject *object)
{
    struct py_redis_backend *self = redis_of(object);
    if (has_backend(self)) {
        self->closed_with = self->bridge->backend->counters;
        py_backend_shut(self->bridge);
    }
    delivery_table_clear(&self->held);
    self->closed = true;
    return 0;
}

static int redis_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(redis_of(object)->dict);
    Py_VISIT(redis_of(object)->bridge);
    return 0;
}

static int redis_clear(PyObject *object)
{
    struct py_redis_backend *self = redis_of(object);
    redis_end(object);
    if (self->process == getpid())
        Py_CLEAR(self->bridge);
    Py_CLEAR(self->dict);
    return 0;
}

static void redis_dealloc(PyObject *object)
{
    struct py_redis_backend *self = redis_of(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references)
        PyObject_ClearWeakRefs(object);
    redis_clear(object);
    py_redis_settings_clear(&self->settings);
    Py_TYPE(object)->tp_free(object);
}

/* --- what the bridge asks ----------------------------------------------------------------- */

/* 1: another loop than the one that runs here has the backend, and runs too; -1 with an exception.
 */
static int is_elsewhere(struct py_redis_backend *self)
{
    if (!self->bridge->loop)
        return 0;
    PyObject *loop = py_backend_running_loop();
    if (!loop)
        return -1;
    bool same = loop == self->bridge->loop;
    Py_DECREF(loop);
    if (same)
        return 0;
    PyObject *runs = PyObject_CallMethod(self->bridge->loop, "is_running", NULL);
    int result = runs ? PyObject_IsTrue(runs) : -1;
    Py_XDECREF(runs);
    return result;
}

static struct py_backend *redis_here(PyObject *owner)
{
    struct py_redis_backend *self = redis_of(owner);
    if (!self->made) {
        PyErr_Format(PyExc_RuntimeError, "%.100s.__init__() did not call RedisBackend.__init__()",
                     Py_TYPE(owner)->tp_name);
        return NULL;
    }
    if (self->closed) /* without a backend: close() is content, everything else says so */
        return (struct py_backend *)Py_NewRef((PyObject *)self->bridge);
    if (self->process != getpid() && begin_in_child(self))
        return NULL;
    int elsewhere = is_elsewhere(self);
    if (elsewhere > 0)
        PyErr_SetString(PyExc_RuntimeError,
                        "the RedisBackend is in use by another running event loop: make one for "
                        "each loop that runs at the same time");
    return elsewhere ? NULL : (struct py_backend *)Py_NewRef((PyObject *)self->bridge);
}

/* BackendFullError belongs to the memory backend; the extension has it by its name. */
static PyObject *full_error(void)
{
    PyObject *extension = PyImport_ImportModule("necrostack._necrostack");
    PyObject *type = extension ? PyObject_GetAttrString(extension, "BackendFullError") : NULL;
    Py_XDECREF(extension);
    return type;
}

/* The class of the exception, a new reference; NULL and an exception. */
static PyObject *class_of_error(int error)
{
    switch (error) {
    case ENOMEM:
        return Py_NewRef(PyExc_MemoryError);
    case ENOBUFS:
        return full_error();
    case ENOTCONN:
        return Py_NewRef(PyExc_ConnectionError);
    case EACCES:
        return Py_NewRef(PyExc_PermissionError);
    default:
        return Py_NewRef(PyExc_RuntimeError);
    }
}

static PyObject *redis_error(PyObject *owner, struct py_backend *bridge, int error)
{
    const char *words = bridge->backend ? backend_error(bridge->backend) : "";
    (void)owner;
    if (error == ESHUTDOWN)
        words = "the RedisBackend is closed";
    else if (!*words) /* its time was over before anything had gone wrong */
        words = error == ENOTCONN ? "no answer in time" : strerror(error);
    PyObject *type = class_of_error(error);
    PyObject *text =
        type ? PyUnicode_DecodeUTF8(words, (Py_ssize_t)strlen(words), "replace") : NULL;
    PyObject *exception = text ? PyObject_CallOneArg(type, text) : NULL;
    Py_XDECREF(type);
    Py_XDECREF(text);
    return exception;
}

static int redis_handed_out(PyObject *owner, struct py_backend *bridge, PyObject *event,
                            const struct delivery *delivery)
{
    (void)bridge;
    if (delivery_table_put(&redis_of(owner)->held, py_event_of(event)->id, delivery) == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int warn_of_stranger(PyObject *event)
{
    char id[EVENT_ID_TEXT_SIZE];
    event_id_text(py_event_of(event)->id, id);
    PyObject *logging = PyImport_ImportModule("logging");
    PyObject *logger = logging ? PyObject_CallMethod(logging, "getLogger", "s", FACE) : NULL;
    PyObject *done = logger ? PyObject_CallMethod(logger, "warning", "ss",
                                                  "event %s is not acknowledged: it was not pulled "
                                                  "from this backend, or is settled already",
                                                  id)
                            : NULL;
    Py_XDECREF(logging);
    Py_XDECREF(logger);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static int redis_taken_back(PyObject *owner, struct py_backend *bridge, PyObject *event,
                            struct delivery *delivery)
{
    (void)bridge;
    if (delivery_table_take(&redis_of(owner)->held, py_event_of(event)->id, delivery))
        return 1;
    return warn_of_stranger(event);
}

/* --- metrics and health ------------------------------------------------------------------- */

/* As keyword arguments of RedisMetrics. */
static PyObject *metrics_dict(struct py_redis_backend *self)
{
    struct backend_counters c = self->closed_with;
    if (has_backend(self))
        c = self->bridge->backend->counters;
    return Py_BuildValue(
        "{s:K,s:K,s:K,s:K,s:K,s:K}", "events_enqueued", (unsigned long long)c.enqueued,
        "events_pulled", (unsigned long long)c.pulled, "events_acked", (unsigned long long)c.acked,
        "events_failed", (unsigned long long)c.failed, "reconnections",
        (unsigned long long)c.reconnections, "pending_recovered", (unsigned long long)c.recovered);
}

/* An instance of a class of the Python face; steals the keyword arguments, which may be NULL. */
static PyObject *make_of_face(const char *name, PyObject *kwargs)
{
    PyObject *face = kwargs ? PyImport_ImportModule(FACE) : NULL;
    PyObject *type = face ? PyObject_GetAttrString(face, name) : NULL;
    PyObject *none = type ? PyTuple_New(0) : NULL;
    PyObject *made = none ? PyObject_Call(type, none, kwargs) : NULL;
    Py_XDECREF(face);
    Py_XDECREF(type);
    Py_XDECREF(none);
    Py_XDECREF(kwargs);
    return made;
}

static PyObject *get_metrics(PyObject *object, void *closure)
{
    (void)closure;
    return make_of_face("RedisMetrics", metrics_dict(redis_of(object)));
}

static PyObject *health_details(struct py_redis_backend *self, const struct backend_health *health)
{
    PyObject *metrics = metrics_dict(self);
    if (!metrics)
        return NULL;
    PyObject *details = Py_BuildValue(
        "{s:K,s:O,s:O,s:N}", "stream_length", (unsigned long long)health->waiting, "consumer_group",
        self->settings.group, "consumer_name", self->settings.consumer, "metrics", metrics);
    if (!details || health->healthy)
        return details;
    PyObject *words =
        PyUnicode_DecodeUTF8(health->error, (Py_ssize_t)strlen(health->error), "replace");
    if (!words || PyDict_SetItemString(details, "error", words))
        Py_CLEAR(details);
    Py_XDECREF(words);
    return details;
}

static PyObject *redis_health(PyObject *owner, struct py_backend *bridge,
                              const struct backend_health *health)
{
    (void)bridge;
    PyObject *details = health_details(redis_of(owner), health);
    if (!details)
        return NULL;
    return make_of_face("BackendHealth",
                        Py_BuildValue("{s:O,s:d,s:N}", "healthy",
                                      health->healthy ? Py_True : Py_False, "latency_ms",
                                      (double)health->latency_ns / (double)NS_PER_MS, "details",
                                      details));
}

/* --- the methods -------------------------------------------------------------------------- */

static PyTypeObject redis_type;

static const struct py_backend_kind kind = {
    .type = &redis_type,
    .writes = true,
    .here = redis_here,
    .error = redis_error,
    .handed_out = redis_handed_out,
    .taken_back = redis_taken_back,
    .health = redis_health,
    .remove = redis_backend_delete,
    .close = redis_end,
};

static PyObject *redis_enqueue(PyObject *self, PyObject *const *args, Py_ssize_t count,
                               PyObject *keywords)
{
    PyObject *event = py_backend_only_event("enqueue", args, count, keywords);
    return event ? py_backend_enqueue(&kind, self, event) : NULL;
}

static PyObject *redis_pull(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    PyObject *timeout = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:pull", names, &timeout))
        return NULL;
    if (timeout)
        return py_backend_pull(&kind, self, timeout);
    timeout = PyFloat_FromDouble(1.0);
    PyObject *pulling = timeout ? py_backend_pull(&kind, self, timeout) : NULL;
    Py_XDECREF(timeout);
    return pulling;
}

static PyObject *redis_ack(PyObject *self, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords)
{
    PyObject *event = py_backend_only_event("ack", args, count, keywords);
    return event ? py_backend_ack(&kind, self, event) : NULL;
}

static PyObject *redis_nack(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"event", "reason", NULL};
    PyObject *event, *reason = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|U:nack", names, &event, &reason))
        return NULL;
    return py_backend_nack(&kind, self, event, reason);
}

static PyObject *redis_ask_health(PyObject *self, PyObject *none)
{
    (void)none;
    return py_backend_health(&kind, self);
}

static PyObject *redis_close(PyObject *self, PyObject *none)
{
    (void)none;
    return py_backend_close(&kind, self);
}

static PyObject *redis_delete_stream(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"key", NULL};
    PyObject *key = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:delete_stream", names, &key))
        return NULL;
    return py_backend_remove(&kind, self, key);
}

static PyObject *redis_enter(PyObject *self, PyObject *none)
{
    (void)none;
    return py_backend_enter(&kind, self);
}

static PyObject *redis_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return py_backend_close(&kind, self);
}

static PyMethodDef methods[] = {
    {"enqueue", (PyCFunction)(void (*)(void))redis_enqueue, METH_FASTCALL | METH_KEYWORDS,
     "enqueue($self, event)\n--\n\nAppends the event to the stream."},
    {"pull", (PyCFunction)(void (*)(void))redis_pull, METH_VARARGS | METH_KEYWORDS,
     "pull($self, timeout=1.0)\n--\n\nThe next event, or None after timeout seconds in vain; a "
     "timeout of None waits for as "
     "long as it takes."},
    {"ack", (PyCFunction)(void (*)(void))redis_ack, METH_FASTCALL | METH_KEYWORDS,
     "ack($self, event)\n--\n\nThe event is handled and is not delivered again."},
    {"nack", (PyCFunction)(void (*)(void))redis_nack, METH_VARARGS | METH_KEYWORDS,
     "nack($self, event, reason='')\n--\n\nThe event goes to the dead letters now."},
    {"health", redis_ask_health, METH_NOARGS,
     "health($self)\n--\n\nA BackendHealth; an unhealthy one rather than an exception."},
    {"close", redis_close, METH_NOARGS,
     "close($self)\n--\n\nCloses the connections for good. Twice is allowed."},
    {"delete_stream", (PyCFunction)(void (*)(void))redis_delete_stream,
     METH_VARARGS | METH_KEYWORDS,
     "delete_stream($self, key=None)\n--\n\nDeletes a stream with its groups, by default the own "
     "one."},
    {"__aenter__", redis_enter, METH_NOARGS, NULL},
    {"__aexit__", redis_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyObject *redis_repr(PyObject *object)
{
    struct py_redis_backend *self = redis_of(object);
    if (!self->made)
        return PyUnicode_FromFormat("<%s, not initialised>", Py_TYPE(object)->tp_name);
    return PyUnicode_FromFormat("<%s %U stream_key=%R consumer_group=%R consumer_name=%R%s>",
                                Py_TYPE(object)->tp_name, self->settings.shown_url,
                                self->settings.stream, self->settings.group,
                                self->settings.consumer, self->closed ? ", closed" : "");
}

#define SETTING(name, kind, member, doc)                                              \
    {                                                                                 \
        name, kind, offsetof(struct py_redis_backend, settings.member), READONLY, doc \
    }

static PyMemberDef members[] = {
    SETTING("redis_url", T_OBJECT, shown_url, "Where, without the password."),
    SETTING("stream_key", T_OBJECT, stream, "The stream."),
    SETTING("consumer_group", T_OBJECT, group, "The group that shares the stream."),
    SETTING("consumer_name", T_OBJECT, consumer, "This consumer in the group."),
    SETTING("dlq_stream", T_OBJECT, dead_letters, "The stream of dead letters."),
    SETTING("pool_size", T_UINT, pool_size, "Accepted; the connections are never more than three."),
    SETTING("max_retries", T_UINT, c.max_retries, "Deliveries until an event is a dead letter."),
    SETTING("claim_min_idle_ms", T_ULONGLONG, claim_min_idle_ms,
            "How long a delivery is its consumer's."),
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getters[] = {
    {"metrics", get_metrics, NULL, "RedisMetrics: totals since the backend was made.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject redis_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "necrostack.backends.redis_backend.RedisBackend",
    .tp_basicsize = sizeof(struct py_redis_backend),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc =
        "RedisBackend(redis_url, stream_key='necrostack:events', consumer_group='necrostack',\n"
        "consumer_name=None, pool_size=10, max_retries=3, claim_min_idle_ms=30000,\n"
        "dlq_stream=None, *, timeout=5.0): events in a Redis stream.",
    .tp_new = PyType_GenericNew,
    .tp_init = redis_init,
    .tp_dealloc = redis_dealloc,
    .tp_traverse = redis_traverse,
    .tp_clear = redis_clear,
    .tp_repr = redis_repr,
    .tp_methods = methods,
    .tp_members = members,
    .tp_getset = getters,
    .tp_dictoffset = offsetof(struct py_redis_backend, dict),
    .tp_weaklistoffset = offsetof(struct py_redis_backend, weak_references),
};

int py_redis_backend_add(PyObject *module)
{
    if (PyType_Ready(&redis_type) ||
        PyModule_AddObjectRef(module, "RedisBackend", (PyObject *)&redis_type))
        return -1;
    py_backend_register(&kind);
    return 0;
}
