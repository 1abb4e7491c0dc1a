// SPDX-License-Identifier: Apache-2.0
/*
 * py_coroutine - a coroutine written in C: what `await`, asyncio.run() and create_task() take.
 *
 * A type of this kind embeds struct py_coroutine as its first member, has py_coroutine_base as its
 * base and goes on in ops->advance(). It does nothing before it is awaited; one that never was is
 * warned of as Python does. Sends and throws go through to what it waits for. StopIteration never
 * comes out of it but as its result.
 */
#ifndef WORKER_NECROSTACK_PY_COROUTINE_H
#define WORKER_NECROSTACK_PY_COROUTINE_H

#include <Python.h>

#include <stdbool.h>

struct py_coroutine;

struct py_coroutine_ops {
    const char *name;
    /*
     * Goes on with the value of what was waited for: None at first and after a bare yield, NULL
     * with an exception set when it raised or one was thrown in. PYGEN_RETURN with *result;
     * PYGEN_ERROR; or PYGEN_NEXT: waits for self->waiting_for, or yields to the loop when that is
     * NULL.
     */
    PySendResult (*advance)(struct py_coroutine *self, PyObject *value, PyObject **result);
    /* What it waits for is not there at once: the loop gets its turn. Or NULL. 0, or -1 with an
     * exception, which is unraisable. */
    int (*suspended)(struct py_coroutine *self);
    /* Around every step of what it waits for. Or NULL. */
    void (*before_step)(struct py_coroutine *self);
    void (*after_step)(struct py_coroutine *self);
};

enum py_coroutine_state {
    PY_COROUTINE_CREATED,
    PY_COROUTINE_SUSPENDED,
    PY_COROUTINE_RUNNING,
    PY_COROUTINE_FINISHED
};

struct py_coroutine {
    PyObject_HEAD const struct py_coroutine_ops *ops;
    enum py_coroutine_state state;
    PyObject *waiting_for; /* the iterator of what is awaited */
};

extern PyTypeObject py_coroutine_base;

/* To be called by tp_finalize of the type: a suspended one is closed. */
void py_coroutine_finalize(PyObject *self);

/* The iterator of an awaitable, a new reference; NULL and TypeError for anything else. */
PyObject *py_coroutine_iterator(PyObject *awaitable);
/* Whether py_coroutine_iterator() would have a chance. */
bool py_coroutine_is_awaitable(PyObject *object);

#endif
