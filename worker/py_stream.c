// SPDX-License-Identifier: Apache-2.0
#include "worker/py_stream.h"

#include "worker/py_async.h"
#include "worker/py_compat.h"
#include "worker/py_concurrent.h"
#include "worker/py_error.h"
#include "worker/py_json.h"
#include "worker/py_logger.h"
#include "worker/py_request.h"
#include "worker/py_scope.h"
#include "worker/turn.h"

#include <errno.h>
#include <stdlib.h>

struct stream {
    uint64_t id;
    uint64_t timeout_ns;
    PyObject *generator;
    PyObject *request;
    PyObject *task; /* makes the next chunk beside other turns; NULL none */
    bool is_closing;
};

static struct {
    struct stream *items;
    size_t count, cap;
} streams;

static struct buf chunk; /* a line of JSON, or the error of the stream that ended last */

static bool is_async(PyObject *value)
{
    PyAsyncMethods *methods = Py_TYPE(value)->tp_as_async;
    return methods && methods->am_anext;
}

bool py_stream_accepts(PyObject *value)
{
    return PyIter_Check(value) || is_async(value);
}

int py_stream_open(uint64_t id, PyObject *generator, PyObject *request, uint64_t timeout_ns)
{
    if (streams.count == streams.cap) {
        size_t cap = streams.cap ? streams.cap * 2 : 4;
        struct stream *grown = PyMem_RawRealloc(streams.items, cap * sizeof(*grown));
        if (!grown) {
            PyErr_NoMemory();
            return -1;
        }
        streams.items = grown;
        streams.cap = cap;
    }
    Py_INCREF(generator);
    Py_INCREF(request);
    streams.items[streams.count++] = (struct stream){
        .id = id, .timeout_ns = timeout_ns, .generator = generator, .request = request};
    return 0;
}

static struct stream *find(uint64_t id)
{
    for (size_t i = 0; i < streams.count; i++)
        if (streams.items[i].id == id)
            return &streams.items[i];
    return NULL;
}

static void forget(struct stream *s)
{
    struct stream gone = *s;
    *s = streams.items[--streams.count];
    Py_DECREF(gone.generator);
    Py_DECREF(gone.request);
    Py_XDECREF(gone.task);
}

/* --- chunks --- */

static PyObject *next_value(PyObject *generator)
{
    if (!is_async(generator))
        return PyIter_Next(generator);
    PyObject *awaitable = PyObject_CallMethod(generator, "__anext__", NULL);
    PyObject *value = awaitable ? py_async_run(awaitable) : NULL;
    if (!value && PyErr_ExceptionMatches(PyExc_StopAsyncIteration))
        PyErr_Clear();
    return value;
}

static int chunk_of_text(struct stream_step *step, PyObject *value)
{
    step->owner = py_utf8_lossy(value);
    if (!step->owner)
        return -1;
    step->bytes =
        (struct span){PyBytes_AS_STRING(step->owner), (size_t)PyBytes_GET_SIZE(step->owner)};
    return 0;
}

static int chunk_of_bytes(struct stream_step *step, PyObject *value)
{
    step->owner = PyBytes_FromObject(value);
    if (!step->owner)
        return -1;
    step->bytes =
        (struct span){PyBytes_AS_STRING(step->owner), (size_t)PyBytes_GET_SIZE(step->owner)};
    return 0;
}

static int chunk_of_json(struct stream_step *step, PyObject *value)
{
    struct span text;
    PyObject *owner = py_json_encode(value, &text);
    if (!owner)
        return -1;
    buf_reset(&chunk, 64 * 1024);
    buf_append(&chunk, text.data, text.len);
    buf_putc(&chunk, '\n');
    Py_DECREF(owner);
    step->bytes = (struct span){chunk.data, chunk.len};
    return buf_ok(&chunk) ? 0 : -1;
}

static int make_chunk(struct stream_step *step, PyObject *value)
{
    step->kind = STREAM_STEP_CHUNK;
    if (PyUnicode_Check(value))
        return chunk_of_text(step, value);
    if (PyBytes_Check(value) || PyByteArray_Check(value) || PyMemoryView_Check(value))
        return chunk_of_bytes(step, value);
    return chunk_of_json(step, value);
}

/* Empty chunks would end a chunked body: they are passed over. 0, or -1 ended or failed. */
static int next_chunk(PyObject *generator, struct stream_step *step)
{
    int err = 0;
    while (!err && step->bytes.len == 0) {
        PyObject *value = next_value(generator);
        py_stream_release(step);
        err = value ? make_chunk(step, value) : -1;
        Py_XDECREF(value);
    }
    return err;
}

static void end_step(struct stream_step *step)
{
    bool has_failed = PyErr_Occurred() != NULL;
    py_stream_release(step);
    step->kind = STREAM_STEP_END;
    step->bytes = (struct span){"", 0};
    if (!has_failed)
        return;
    py_error_log("a streamed reply failed", &chunk);
    step->bytes = (struct span){chunk.data, chunk.len};
}

/* --- beside other turns --- */

/* What a step that awaits needs until it ends. */
struct awaited {
    uint64_t id;
    PyObject *request; /* the scope borrows it */
};

static void free_awaited(struct awaited *a)
{
    Py_DECREF(a->request);
    free(a);
}

/* Runs what a method of the generator returns as a task, in a scope of its own. 0, or -1. */
static int await_step(const struct stream *s, const char *method,
                      void (*end)(void *arg, PyObject *result), PyObject **task)
{
    struct awaited *a = malloc(sizeof(*a));
    if (!a) {
        PyErr_NoMemory();
        return -1;
    }
    *a = (struct awaited){s->id, s->request};
    Py_INCREF(a->request);
    uint64_t timeout_ns = s->timeout_ns;
    py_scope_enter(SCOPE_STREAM, s->id, s->request);
    PyObject *awaitable = PyObject_CallMethod(s->generator, method, NULL);
    int err = awaitable ? py_concurrent_start(awaitable, timeout_ns, end, a, task) : -1;
    if (err < 0) {
        py_scope_leave();
        free_awaited(a);
    }
    return err;
}

static void end_close(void *arg, PyObject *result)
{
    if (!result)
        py_error_log("closing a streamed reply failed", NULL);
    Py_XDECREF(result);
    free_awaited(arg);
}

/* Frees the stream; its generator goes on until it is closed. */
static void close_beside(struct stream *s)
{
    if (await_step(s, "aclose", end_close, NULL) < 0)
        py_error_log("closing a streamed reply failed", NULL);
    forget(find(s->id));
}

static void pull_beside(struct stream *s, struct stream_step *step);

/* value: taken; NULL: the generator has ended or raised. */
static void take_value(struct stream *s, PyObject *value)
{
    struct stream_step step = {.kind = STREAM_STEP_END, .bytes = {"", 0}};
    uint64_t id = s->id;
    if (!value && PyErr_ExceptionMatches(PyExc_StopAsyncIteration))
        PyErr_Clear();
    int err = value ? make_chunk(&step, value) : -1;
    Py_XDECREF(value);
    if (err < 0) {
        end_step(&step);
        forget(s);
    } else if (step.bytes.len == 0) {
        py_stream_release(&step);
        pull_beside(s, &step);
    }
    if (step.kind != STREAM_STEP_LATER)
        turn_step(id, &step);
}

static void end_pull(void *arg, PyObject *result)
{
    struct awaited *a = arg;
    struct stream *s = find(a->id);
    Py_CLEAR(s->task);
    if (s->is_closing) {
        Py_XDECREF(result);
        PyErr_Clear();
        close_beside(s);
    } else {
        take_value(s, result);
    }
    free_awaited(a);
}

static void pull_beside(struct stream *s, struct stream_step *step)
{
    uint64_t id = s->id;
    step->kind = STREAM_STEP_LATER;
    PyObject *task;
    if (await_step(s, "__anext__", end_pull, &task) == 0) {
        s = find(id);
        if (s)
            s->task = task;
        else
            Py_DECREF(task); /* it ended at once */
        return;
    }
    end_step(step);
    forget(find(id));
}

static bool goes_beside(const struct stream *s)
{
    return py_concurrent_is_on() && is_async(s->generator);
}

static void cancel_beside(struct stream *s)
{
    if (!s->task) {
        close_beside(s);
        return;
    }
    s->is_closing = true;
    PyObject *done = PyObject_CallMethod(s->task, "cancel", NULL);
    Py_XDECREF(done);
    PyErr_Clear();
}

/* --- pulling --- */

void py_stream_pull(uint64_t id, struct stream_step *step)
{
    *step = (struct stream_step){.kind = STREAM_STEP_END, .bytes = {"", 0}};
    struct stream *s = find(id);
    if (!s || s->task)
        return;
    if (goes_beside(s)) {
        pull_beside(s, step);
        return;
    }
    PyObject *generator = s->generator;
    py_scope_enter(SCOPE_STREAM, id, s->request);
    if (next_chunk(generator, step) < 0) {
        end_step(step);
        forget(find(id));
    }
    py_scope_leave();
}

void py_stream_release(struct stream_step *step)
{
    Py_CLEAR(step->owner);
}

int py_stream_collect(PyObject *generator, uint64_t limit, struct buf *out)
{
    struct stream_step step = {.kind = STREAM_STEP_END, .bytes = {"", 0}};
    while (next_chunk(generator, &step) == 0) {
        if (step.bytes.len > limit - out->len) {
            py_stream_release(&step);
            py_stream_drop(generator);
            return -EFBIG;
        }
        buf_append(out, step.bytes.data, step.bytes.len);
        step.bytes.len = 0;
    }
    py_stream_release(&step);
    return PyErr_Occurred() ? -1 : 0;
}

/* --- closing --- */

static PyObject *close_generator(PyObject *generator)
{
    bool async = is_async(generator);
    const char *name = async ? "aclose" : "close";
    if (!PyObject_HasAttrString(generator, name))
        Py_RETURN_NONE;
    PyObject *result = PyObject_CallMethod(generator, name, NULL);
    if (!result || !async)
        return result;
    return py_concurrent_is_on() ? py_async_start(result) : py_async_run(result);
}

void py_stream_drop(PyObject *generator)
{
    PyObject *result = close_generator(generator);
    if (!result)
        py_error_log("closing a streamed reply failed", NULL);
    Py_XDECREF(result);
}

void py_stream_cancel(uint64_t id)
{
    struct stream *s = find(id);
    if (!s)
        return;
    if (goes_beside(s)) {
        cancel_beside(s);
        return;
    }
    py_scope_enter(SCOPE_STREAM, id, s->request);
    py_stream_drop(s->generator);
    forget(find(id));
    py_scope_leave();
}
