// SPDX-License-Identifier: Apache-2.0
#include "worker/py_ask.h"

#include "common/clock.h"
#include "common/head.h"
#include "common/memfd.h"
#include "common/worker_fds.h"
#include "worker/answers.h"
#include "worker/outbox.h"
#include "worker/py_call_error.h"
#include "worker/py_embed.h"
#include "worker/py_json.h"
#include "worker/py_scope.h"

#include <errno.h>

#define TIMEOUT_MAX_S 1e9

static struct {
    PyObject *futures;      /* dict: number -> (future, object id, turn's id) */
    PyObject *running_loop; /* asyncio.get_running_loop */
    PyObject *on_answers, *on_flush;
    PyObject *loop; /* that watches FD_ANSWERS; NULL none */
    bool flush_due; /* a loop has on_flush in its queue */
} ask;

/* --- asking --- */

static int refuse(const struct py_question *q, const char *why)
{
    PyErr_Format(PyExc_RuntimeError, "%s() %s", q->function, why);
    return -1;
}

static int check_place(const struct py_question *q)
{
    switch (py_scope_here()) {
    case SCOPE_TURN:
    case SCOPE_HEALTH:
        if (py_scope_is_main_thread())
            return 0;
        return refuse(q,
                      "works on the thread of the turn only, not on one that the handler started");
    case SCOPE_LOADING:
        return refuse(q, "works inside a turn only, not while the module is imported");
    case SCOPE_STREAM:
        return refuse(q, "works inside a turn only, and a streamed reply is sent after it");
    case SCOPE_TEST:
        if (q->kind == RPC_ASK_CALL)
            return refuse(q, "is not for self-tests: they change nothing but their copy");
        return refuse(q, "is not for self-tests: they see their copy of the state only");
    default:
        return refuse(q, "works inside a turn only, not from a thread or task that outlives it");
    }
}

static int put_timeout(struct rpc_ask *m, PyObject *timeout)
{
    if (!timeout || timeout == Py_None)
        return 0;
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (!(seconds > 0)) {
        PyErr_SetString(PyExc_ValueError, "timeout must be a number of seconds above 0");
        return -1;
    }
    m->timeout_ns = seconds < TIMEOUT_MAX_S ? (uint64_t)(seconds * (double)NS_PER_S) : 0;
    if (m->timeout_ns == 0 && seconds < TIMEOUT_MAX_S)
        m->timeout_ns = 1;
    return 0;
}

/* *owner keeps the body alive. */
static int put_body(struct rpc_ask *m, PyObject *request, PyObject **owner)
{
    *owner = NULL;
    if (!request || request == Py_None)
        return 0;
    if (PyBytes_Check(request) || PyByteArray_Check(request) || PyMemoryView_Check(request)) {
        m->body_kind = RPC_ASK_BYTES;
        *owner = PyBytes_FromObject(request);
    } else if (PyUnicode_Check(request)) {
        m->body_kind = RPC_ASK_TEXT;
        *owner = py_utf8_lossy(request);
    } else {
        m->body_kind = RPC_ASK_JSON;
        *owner = py_json_encode(request, &m->body);
        return *owner ? 0 : -1;
    }
    if (*owner)
        m->body = (struct span){PyBytes_AS_STRING(*owner), (size_t)PyBytes_GET_SIZE(*owner)};
    return *owner ? 0 : -1;
}

static int put_object(struct rpc_ask *m, PyObject *object_id)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(object_id, &len);
    if (!text)
        return -1;
    m->object = (struct span){text, (size_t)len};
    return 0;
}

static int send_question(struct rpc_ask *m)
{
    int err = answers_ask(py_scope_id_here(), m);
    if (err == -ECHILD)
        PyErr_SetString(PyExc_RuntimeError,
                        "a process that the handler forked cannot call objects");
    else if (err)
        PyErr_NoMemory();
    return err ? -1 : 0;
}

/* 0 and *number, or -1 with an exception. */
static int put_question(const struct py_question *q, uint64_t *number)
{
    struct rpc_ask m = {
        .kind = q->kind, .method = span_of(q->method), .query = q->query, .body = {"", 0}};
    PyObject *owner = NULL;
    int err = check_place(q);
    if (!err)
        err = put_object(&m, q->object_id);
    if (!err)
        err = put_timeout(&m, q->timeout);
    if (!err)
        err = put_body(&m, q->request, &owner);
    if (!err)
        err = send_question(&m);
    Py_XDECREF(owner);
    *number = m.number;
    return err;
}

/* --- answers --- */

static PyObject *read_body(const struct answer *a)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)a->m.body_size);
    if (bytes && memfd_read(a->body_fd, PyBytes_AS_STRING(bytes), a->m.body_size) < 0) {
        Py_CLEAR(bytes);
        PyErr_SetString(PyExc_OSError, "the answer cannot be read");
    }
    return bytes;
}

static bool is_text(struct span type)
{
    return type.len > 5 && memcmp(type.data, "text/", 5) == 0;
}

/* JSON as data, text as str, anything else as bytes. owner: NULL, or bytes that hold the body. */
static PyObject *decode(struct span type, struct span body, PyObject *owner)
{
    if (head_is_json(type))
        return py_json_decode(body.data, body.len);
    PyObject *text =
        is_text(type) ? PyUnicode_DecodeUTF8(body.data, (Py_ssize_t)body.len, NULL) : NULL;
    if (text)
        return text;
    PyErr_Clear(); /* another charset */
    Py_XINCREF(owner);
    return owner ? owner : PyBytes_FromStringAndSize(body.data, (Py_ssize_t)body.len);
}

/* None for an answer without content. */
static PyObject *value_of(const struct answer *a)
{
    struct span type = head_media_type(a->m.content_type), body = a->m.body;
    if (a->body_fd < 0 && body.len == 0 && type.len == 0)
        Py_RETURN_NONE;
    PyObject *owner = a->body_fd < 0 ? NULL : read_body(a);
    if (owner)
        body = (struct span){PyBytes_AS_STRING(owner), (size_t)PyBytes_GET_SIZE(owner)};
    PyObject *value = PyErr_Occurred() ? NULL : decode(type, body, owner);
    Py_XDECREF(owner);
    return value;
}

/* The result of the question, or NULL with its exception. */
static PyObject *result_of(const struct answer *a, PyObject *object_id)
{
    PyObject *value = value_of(a);
    if (!value || !py_call_error_in(&a->m))
        return value;
    py_call_error_raise(object_id, &a->m, value);
    Py_DECREF(value);
    return NULL;
}

static void settle(PyObject *future, PyObject *value)
{
    PyObject *exception = value ? NULL : py_take_exception();
    PyObject *done = PyObject_CallMethod(future, "done", NULL), *set = NULL;
    if (done == Py_False)
        set = value ? PyObject_CallMethod(future, "set_result", "O", value)
                    : PyObject_CallMethod(future, "set_exception", "O", exception);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(future); /* its loop is closed */
    Py_XDECREF(done);
    Py_XDECREF(set);
    Py_XDECREF(exception);
}

/* To a future; what nobody waits for any more is dropped. */
static void deliver(const struct answer *a)
{
    PyObject *number = PyLong_FromUnsignedLongLong(a->number);
    PyObject *entry = number ? PyDict_GetItemWithError(ask.futures, number) : NULL;
    if (entry) {
        Py_INCREF(entry);
        PyDict_DelItem(ask.futures, number);
        PyObject *value = result_of(a, PyTuple_GET_ITEM(entry, 1));
        settle(PyTuple_GET_ITEM(entry, 0), value);
        Py_XDECREF(value);
        Py_DECREF(entry);
    }
    Py_XDECREF(number);
    PyErr_Clear();
}

/* --- waiting --- */

/* 1: it has come. 0: not yet. */
static int find_answer(uint64_t number, struct answer *a)
{
    while (answers_next(a)) {
        if (a->number == number)
            return 1;
        deliver(a);
    }
    return 0;
}

/* Everything that has come: no loop hears again of what was received already. */
static void deliver_all(void)
{
    struct answer a;
    while (answers_next(&a))
        deliver(&a);
}

PyObject *py_ask_wait(const struct py_question *q)
{
    struct answer a;
    uint64_t number;
    if (put_question(q, &number) < 0)
        return NULL;
    outbox_flush();
    while (!find_answer(number, &a)) {
        py_embed_release();
        int err = answers_wait();
        py_embed_acquire();
        if (err == -EINTR && PyErr_CheckSignals() < 0)
            return NULL; /* its answer is dropped when it comes */
    }
    PyObject *result = result_of(&a, q->object_id);
    if (PyDict_GET_SIZE(ask.futures) > 0) {
        PyObject *exception = py_take_exception();
        deliver_all();
        if (exception)
            py_raise_again(exception);
    }
    return result;
}

/* --- awaiting --- */

static PyObject *on_answers(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    deliver_all();
    Py_RETURN_NONE;
}

static PyObject *on_flush(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    ask.flush_due = false;
    outbox_flush();
    Py_RETURN_NONE;
}

static PyMethodDef on_answers_method = {"on_answers", on_answers, METH_NOARGS, NULL};
static PyMethodDef on_flush_method = {"on_flush", on_flush, METH_NOARGS, NULL};

int py_ask_init(void)
{
    PyObject *asyncio = PyImport_ImportModule("asyncio");
    ask.running_loop = asyncio ? PyObject_GetAttrString(asyncio, "get_running_loop") : NULL;
    ask.futures = PyDict_New();
    ask.on_answers = PyCFunction_New(&on_answers_method, NULL);
    ask.on_flush = PyCFunction_New(&on_flush_method, NULL);
    Py_XDECREF(asyncio);
    return ask.running_loop && ask.futures && ask.on_answers && ask.on_flush ? 0 : -1;
}

static void forget_loop(void)
{
    PyObject *gone =
        ask.loop ? PyObject_CallMethod(ask.loop, "remove_reader", "i", FD_ANSWERS) : NULL;
    PyErr_Clear(); /* it may be closed */
    Py_XDECREF(gone);
    Py_CLEAR(ask.loop);
    ask.flush_due = false;
}

/* The loop hears of answers from now on. */
static int watch_answers(PyObject *loop)
{
    if (loop == ask.loop)
        return 0;
    forget_loop();
    PyObject *done = PyObject_CallMethod(loop, "add_reader", "iO", FD_ANSWERS, ask.on_answers);
    if (!done)
        return -1;
    Py_DECREF(done);
    Py_INCREF(loop);
    ask.loop = loop;
    return 0;
}

/* What is asked in one step of the loop leaves together. */
static int flush_soon(PyObject *loop)
{
    if (ask.flush_due)
        return 0;
    PyObject *handle = PyObject_CallMethod(loop, "call_soon", "O", ask.on_flush);
    ask.flush_due = handle != NULL;
    Py_XDECREF(handle);
    return handle ? 0 : -1;
}

static int remember(uint64_t number, PyObject *future, PyObject *object_id)
{
    PyObject *key = PyLong_FromUnsignedLongLong(number);
    PyObject *entry =
        Py_BuildValue("(OOK)", future, object_id, (unsigned long long)py_scope_id_here());
    int err = key && entry ? PyDict_SetItem(ask.futures, key, entry) : -1;
    Py_XDECREF(key);
    Py_XDECREF(entry);
    return err;
}

PyObject *py_ask_future(const struct py_question *q)
{
    uint64_t number;
    PyObject *loop = check_place(q) == 0 ? PyObject_CallNoArgs(ask.running_loop) : NULL;
    PyObject *future = loop ? PyObject_CallMethod(loop, "create_future", NULL) : NULL;
    int err = future ? watch_answers(loop) : -1;
    if (!err)
        err = put_question(q, &number);
    if (!err)
        err = remember(number, future, q->object_id);
    if (!err)
        err = flush_soon(loop);
    Py_XDECREF(loop);
    if (err)
        Py_CLEAR(future);
    return future;
}

static void cancel_future(PyObject *entry)
{
    PyObject *done = PyObject_CallMethod(PyTuple_GET_ITEM(entry, 0), "cancel", NULL);
    Py_XDECREF(done);
    PyErr_Clear(); /* its loop is closed */
}

void py_ask_end_turn(uint64_t id)
{
    if (PyDict_GET_SIZE(ask.futures) == 0)
        return;
    PyObject *items = PyDict_Items(ask.futures);
    for (Py_ssize_t i = 0; items && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i), *entry = PyTuple_GET_ITEM(item, 1);
        if (PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(entry, 2)) != id)
            continue;
        if (PyDict_DelItem(ask.futures, PyTuple_GET_ITEM(item, 0)) == 0)
            cancel_future(entry);
    }
    Py_XDECREF(items);
    PyErr_Clear();
}
