// SPDX-License-Identifier: Apache-2.0
#include "worker/py_concurrent.h"

#include "common/clock.h"
#include "worker/py_async.h"
#include "worker/py_runtime.h"
#include "worker/py_scope.h"

struct turn {
    PyObject_HEAD struct turn *next, *prev;
    PyObject *scope; /* suspended; owned, NULL once the turn was answered */
    PyObject *task;
    PyObject *timer; /* handle of the deadline, then of the grace; NULL none */
    uint64_t deadline_ns;
    void (*end)(void *arg, PyObject *result);
    void *arg;
};

static PyTypeObject turn_type;
static struct turn *turns; /* not yet answered */
static bool is_on;

void py_concurrent_set(bool on)
{
    is_on = on;
}

bool py_concurrent_is_on(void)
{
    return is_on;
}

/* --- the end --- */

static void cancel_timer(struct turn *t)
{
    PyObject *timer = t->timer;
    t->timer = NULL;
    PyObject *done = timer ? PyObject_CallMethod(timer, "cancel", NULL) : NULL;
    Py_XDECREF(done);
    Py_XDECREF(timer);
    PyErr_Clear();
}

static void unlink_turn(struct turn *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        turns = t->next;
    if (t->next)
        t->next->prev = t->prev;
}

/* result: taken; NULL: the exception that is being raised. */
static void answer(struct turn *t, PyObject *result)
{
    PyObject *exception = result ? NULL : py_take_exception();
    unlink_turn(t);
    cancel_timer(t);
    PyObject *before = py_scope_resume(t->scope);
    t->scope = NULL;
    if (exception)
        py_raise_again(exception);
    t->end(t->arg, result);
    py_scope_leave();
    py_scope_go_back(before);
}

static PyObject *on_done(PyObject *self, PyObject *task)
{
    struct turn *t = (struct turn *)self;
    PyObject *result = PyObject_CallMethod(task, "result", NULL);
    if (t->scope) {
        answer(t, result);
    } else { /* it had its chance */
        Py_XDECREF(result);
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

/* --- the deadline --- */

static PyObject *bound(struct turn *t, const char *method)
{
    return PyObject_GetAttrString((PyObject *)t, method);
}

static int set_timer(struct turn *t, uint64_t delay_ns, const char *method)
{
    PyObject *callable = bound(t, method);
    cancel_timer(t);
    t->timer = callable ? py_async_later(delay_ns, callable) : NULL;
    Py_XDECREF(callable);
    return t->timer ? 0 : -1;
}

static PyObject *on_abandon(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct turn *t = (struct turn *)self;
    if (!t->scope)
        Py_RETURN_NONE;
    PyErr_SetString(PyExc_TimeoutError, "the deadline of the call has passed");
    answer(t, NULL);
    Py_RETURN_NONE;
}

static PyObject *on_late(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct turn *t = (struct turn *)self;
    if (!t->scope)
        Py_RETURN_NONE;
    py_scope_mark_late(t->scope);
    PyObject *done = PyObject_CallMethod(t->task, "cancel", NULL);
    int err = done ? set_timer(t, py_runtime_facts()->timeout_grace_ns / 2, "abandon") : -1;
    Py_XDECREF(done);
    if (err < 0)
        return NULL; /* asyncio logs it; the supervisor ends what does not answer */
    Py_RETURN_NONE;
}

bool py_concurrent_is_late(PyObject *frame)
{
    PyObject *scope = py_scope_token();
    struct turn *t = turns;
    while (t && t->scope != scope)
        t = t->next;
    if (!scope || !t || py_async_is_own_frame(frame) || clock_mono_ns() < t->deadline_ns)
        return false;
    py_scope_mark_late(t->scope);
    return true;
}

/* --- the begin --- */

static struct turn *new_turn(uint64_t timeout_ns, void (*end)(void *, PyObject *), void *arg)
{
    struct turn *t = PyObject_New(struct turn, &turn_type);
    if (!t)
        return NULL;
    t->next = turns;
    t->prev = NULL;
    t->scope = t->task = t->timer = NULL;
    t->deadline_ns = timeout_ns ? clock_mono_ns() + timeout_ns : UINT64_MAX;
    t->end = end;
    t->arg = arg;
    return t;
}

static void watch_task(struct turn *t, uint64_t timeout_ns)
{
    PyObject *done = bound(t, "done");
    PyObject *added = done ? PyObject_CallMethod(t->task, "add_done_callback", "O", done) : NULL;
    if (added && timeout_ns && set_timer(t, timeout_ns, "late") < 0)
        Py_CLEAR(added);
    Py_XDECREF(done);
    if (added) {
        Py_DECREF(added);
        return;
    }
    answer(t, NULL); /* no memory */
}

int py_concurrent_start(PyObject *awaitable, uint64_t timeout_ns,
                        void (*end)(void *arg, PyObject *result), void *arg, PyObject **task)
{
    struct turn *t = new_turn(timeout_ns, end, arg);
    if (!t) {
        Py_DECREF(awaitable);
        return -1;
    }
    t->task = py_async_start(awaitable);
    if (!t->task) {
        Py_DECREF(t);
        return -1;
    }
    if (task) {
        Py_INCREF(t->task);
        *task = t->task;
    }
    t->scope = py_scope_suspend();
    if (turns)
        turns->prev = t;
    turns = t;
    watch_task(t, timeout_ns);
    Py_DECREF(t); /* the task's callback holds it, and the timer */
    return 0;
}

static void free_turn(PyObject *self)
{
    struct turn *t = (struct turn *)self;
    Py_XDECREF(t->task);
    Py_XDECREF(t->timer);
    PyObject_Free(t);
}

static PyMethodDef turn_methods[] = {
    {"done", on_done, METH_O, "the task has ended"},
    {"late", on_late, METH_NOARGS, "the deadline has passed"},
    {"abandon", on_abandon, METH_NOARGS, "the task did not end in time"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject turn_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objectd.Turn",
    .tp_basicsize = sizeof(struct turn),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A turn that runs beside others.",
    .tp_methods = turn_methods,
    .tp_dealloc = free_turn,
};

int py_concurrent_init(void)
{
    return PyType_Ready(&turn_type);
}
