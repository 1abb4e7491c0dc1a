// SPDX-License-Identifier: Apache-2.0
#include "worker/py_async.h"

#include "worker/py_compat.h"
#include "worker/py_scope.h"

static struct {
    PyObject *loop;
    PyObject *ensure_future;
    PyObject *all_tasks;
    PyObject *current_task;
    PyObject *task; /* the one of the scope while it runs; borrowed */
    int fd;         /* of the loop's selector */
} async = {.fd = -1};

static void ask_selector_fd(void)
{
    PyObject *selector = PyObject_GetAttrString(async.loop, "_selector");
    PyObject *fd = selector ? PyObject_CallMethod(selector, "fileno", NULL) : NULL;
    async.fd = fd ? (int)PyLong_AsLong(fd) : -1;
    Py_XDECREF(selector);
    Py_XDECREF(fd);
    PyErr_Clear();
}

static int make_loop(void)
{
    PyObject *asyncio = PyImport_ImportModule("asyncio");
    PyObject *loop = asyncio ? PyObject_CallMethod(asyncio, "new_event_loop", NULL) : NULL;
    PyObject *done = loop ? PyObject_CallMethod(asyncio, "set_event_loop", "O", loop) : NULL;
    if (done) {
        async.ensure_future = PyObject_GetAttrString(asyncio, "ensure_future");
        async.all_tasks = PyObject_GetAttrString(asyncio, "all_tasks");
        async.current_task = PyObject_GetAttrString(asyncio, "current_task");
    }
    Py_XDECREF(asyncio);
    if (!done || !async.ensure_future || !async.all_tasks || !async.current_task) {
        Py_XDECREF(loop);
        return -1;
    }
    Py_DECREF(done);
    async.loop = loop;
    ask_selector_fd();
    return 0;
}

/* A task in a context that belongs to the current scope. Steals the awaitable. */
static PyObject *make_task(PyObject *awaitable)
{
    PyObject *task = NULL, *context = py_scope_context();
    if (context && PyContext_Enter(context) == 0) {
        if (PyCoro_CheckExact(awaitable)) {
            task = PyObject_CallMethod(async.loop, "create_task", "O", awaitable);
        } else {
            PyObject *args = PyTuple_Pack(1, awaitable);
            PyObject *options = Py_BuildValue("{sO}", "loop", async.loop);
            if (args && options)
                task = PyObject_Call(async.ensure_future, args, options);
            Py_XDECREF(args);
            Py_XDECREF(options);
        }
        if (PyContext_Exit(context) < 0)
            Py_CLEAR(task);
    }
    Py_XDECREF(context);
    Py_DECREF(awaitable);
    return task;
}

static bool is_done(PyObject *task)
{
    PyObject *done = PyObject_CallMethod(task, "done", NULL);
    bool result = done == Py_True;
    Py_XDECREF(done);
    return result;
}

/* An exception that came from outside the task, which must not go on after its turn. */
static void end_task(PyObject *task)
{
    PyObject *exception = py_take_exception();
    if (!is_done(task)) {
        PyObject *cancelled = PyObject_CallMethod(task, "cancel", NULL);
        PyObject *result =
            cancelled ? PyObject_CallMethod(async.loop, "run_until_complete", "O", task) : NULL;
        Py_XDECREF(cancelled);
        Py_XDECREF(result);
    }
    PyErr_Clear();
    py_raise_again(exception);
}

PyObject *py_async_start(PyObject *awaitable)
{
    if (async.loop || make_loop() == 0)
        return make_task(awaitable);
    Py_DECREF(awaitable);
    return NULL;
}

PyObject *py_async_later(uint64_t delay_ns, PyObject *callable)
{
    return PyObject_CallMethod(async.loop, "call_later", "dO", (double)delay_ns / 1e9, callable);
}

PyObject *py_async_run(PyObject *awaitable)
{
    PyObject *task = py_async_start(awaitable);
    if (!task)
        return NULL;
    async.task = task;
    PyObject *result = PyObject_CallMethod(async.loop, "run_until_complete", "O", task);
    async.task = NULL;
    if (!result)
        end_task(task);
    Py_DECREF(task);
    return result;
}

bool py_async_is_own_frame(PyObject *frame)
{
    if (!PyFrame_Check(frame))
        return false;
    PyCodeObject *code = PyFrame_GetCode((PyFrameObject *)frame);
    const char *name = PyUnicode_AsUTF8(code->co_filename);
    bool result = name && strstr(name, "/asyncio/");
    Py_DECREF(code);
    PyErr_Clear();
    return result;
}

static void cancel_soon(void)
{
    PyObject *cancel = PyObject_GetAttrString(async.task, "cancel");
    PyObject *done =
        cancel ? PyObject_CallMethod(async.loop, "call_soon_threadsafe", "O", cancel) : NULL;
    Py_XDECREF(cancel);
    Py_XDECREF(done);
    PyErr_Clear();
}

bool py_async_cancel(PyObject *frame)
{
    if (!async.task)
        return false;
    PyObject *current = PyObject_CallFunctionObjArgs(async.current_task, async.loop, NULL);
    bool in_task = current && current != Py_None && !py_async_is_own_frame(frame);
    bool in_ours = in_task && current == async.task;
    Py_XDECREF(current);
    PyErr_Clear();
    if (!in_ours)
        cancel_soon();
    return !in_task; /* another task that hogs the loop must be stopped too */
}

static bool has_items(const char *attribute)
{
    PyObject *value = PyObject_GetAttrString(async.loop, attribute);
    bool result = value && PyObject_Size(value) > 0;
    Py_XDECREF(value);
    PyErr_Clear();
    return result;
}

bool py_async_has_pending(void)
{
    if (!async.loop)
        return false;
    if (has_items("_ready") || has_items("_scheduled"))
        return true;
    PyObject *tasks = PyObject_CallFunctionObjArgs(async.all_tasks, async.loop, NULL);
    bool result = tasks && PyObject_Size(tasks) > 0;
    Py_XDECREF(tasks);
    PyErr_Clear();
    return result;
}

static int watch(int fd, PyObject *stop)
{
    PyObject *done = PyObject_CallMethod(async.loop, "add_reader", "iO", fd, stop);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static void unwatch(int fd)
{
    PyObject *done = PyObject_CallMethod(async.loop, "remove_reader", "i", fd);
    Py_XDECREF(done);
}

void py_async_idle(int fd, int wake_fd)
{
    PyObject *stop = PyObject_GetAttrString(async.loop, "stop");
    if (stop && watch(fd, stop) == 0 && watch(wake_fd, stop) == 0) {
        PyObject *done = PyObject_CallMethod(async.loop, "run_forever", NULL);
        Py_XDECREF(done);
    }
    Py_XDECREF(stop);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(async.loop);
    unwatch(fd);
    unwatch(wake_fd);
    PyErr_Clear();
}

int py_async_fd(void)
{
    return async.fd;
}
