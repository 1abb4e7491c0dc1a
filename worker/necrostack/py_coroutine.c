// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_coroutine.h"

#include "worker/py_compat.h"

/* --- awaitables --------------------------------------------------------------------------- */

/* A generator made a coroutine by types.coroutine(): a flag of its code says so. */
static bool is_generator_coroutine(PyObject *object)
{
    PyObject *code;
    bool is;
    if (!PyGen_CheckExact(object))
        return false;
    code = PyObject_GetAttrString(object, "gi_code");
    is = code && (((PyCodeObject *)code)->co_flags & CO_ITERABLE_COROUTINE);
    if (!code)
        PyErr_Clear();
    Py_XDECREF(code);
    return is;
}

bool py_coroutine_is_awaitable(PyObject *object)
{
    const PyAsyncMethods *async = Py_TYPE(object)->tp_as_async;
    return (async && async->am_await) || is_generator_coroutine(object);
}

PyObject *py_coroutine_iterator(PyObject *awaitable)
{
    if (is_generator_coroutine(awaitable) || PyCoro_CheckExact(awaitable))
        return Py_NewRef(awaitable);
    if (!py_coroutine_is_awaitable(awaitable))
        return PyErr_Format(PyExc_TypeError, "object %.100s can't be used in 'await' expression",
                            Py_TYPE(awaitable)->tp_name);
    PyObject *iterator = Py_TYPE(awaitable)->tp_as_async->am_await(awaitable);
    if (iterator && !PyIter_Check(iterator)) {
        PyErr_Format(PyExc_TypeError, "__await__() returned non-iterator of type '%.100s'",
                     Py_TYPE(iterator)->tp_name);
        Py_CLEAR(iterator);
    }
    return iterator;
}

/* StopIteration is the value of what ended; without an exception it is None. */
static PySendResult end_of_iteration(PyObject **result)
{
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_StopIteration))
        return PYGEN_ERROR;
    PyObject *stop;
    stop = py_take_exception();
    *result = stop ? PyObject_GetAttrString(stop, "value") : Py_NewRef(Py_None);
    Py_XDECREF(stop);
    return *result ? PYGEN_RETURN : PYGEN_ERROR;
}

static PySendResult throw_into(PyObject *iterator, PyObject *exception, PyObject **result)
{
    PyObject *method;
    *result = NULL;
    method = PyObject_GetAttrString(iterator, "throw");
    if (!method) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError))
            PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        return PYGEN_ERROR;
    }
    *result = PyObject_CallOneArg(method, exception);
    Py_DECREF(method);
    return *result ? PYGEN_NEXT : end_of_iteration(result);
}

/* --- going on ----------------------------------------------------------------------------- */

static PySendResult suspend(struct py_coroutine *self)
{
    if (self->ops->suspended && self->ops->suspended(self))
        PyErr_WriteUnraisable((PyObject *)self);
    self->state = PY_COROUTINE_SUSPENDED;
    return PYGEN_NEXT;
}

/* One step of what is awaited: with a value, or with an exception where that is not NULL. */
static PySendResult step(struct py_coroutine *self, PyObject *value, PyObject *exception,
                         PyObject **result)
{
    PySendResult status;
    if (self->ops->before_step)
        self->ops->before_step(self);
    status = exception ? throw_into(self->waiting_for, exception, result)
                       : PyIter_Send(self->waiting_for, value, result);
    if (self->ops->after_step)
        self->ops->after_step(self);
    return status;
}

/* Raised out of a coroutine it would look like its result, so it becomes a RuntimeError as Python's
 * own coroutines have it. */
static void hide_stop_iteration(void)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return;
    PyObject *stop = py_take_exception();
    PyErr_SetString(PyExc_RuntimeError, "coroutine raised StopIteration");
    PyObject *error = py_take_exception();
    PyException_SetCause(error, Py_NewRef(stop));
    PyException_SetContext(error, stop);
    py_raise_again(error);
}

/* `status` and *result are what the awaited one said; PYGEN_RETURN with None at the beginning. */
static PySendResult drive(struct py_coroutine *self, PySendResult status, PyObject **result)
{
    while (status != PYGEN_NEXT) {
        PyObject *value = status == PYGEN_RETURN ? *result : NULL;
        Py_CLEAR(self->waiting_for);
        *result = NULL;
        status = self->ops->advance(self, value, result);
        Py_XDECREF(value);
        if (status != PYGEN_NEXT) {
            self->state = PY_COROUTINE_FINISHED;
            if (status == PYGEN_ERROR)
                hide_stop_iteration();
            return status;
        }
        if (!self->waiting_for) {
            *result = Py_NewRef(Py_None);
            break;
        }
        status = step(self, Py_None, NULL, result);
    }
    return suspend(self);
}

static int refuse_unless_resumable(struct py_coroutine *self)
{
    if (self->state == PY_COROUTINE_RUNNING)
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    else if (self->state == PY_COROUTINE_FINISHED)
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    else
        return 0;
    return -1;
}

static PySendResult coroutine_send(PyObject *object, PyObject *value, PyObject **result)
{
    struct py_coroutine *self = (struct py_coroutine *)object;
    PySendResult status = PYGEN_RETURN;
    *result = NULL;
    if (refuse_unless_resumable(self))
        return PYGEN_ERROR;
    self->state = PY_COROUTINE_RUNNING;
    if (self->waiting_for)
        status = step(self, value, NULL, result);
    else
        *result = Py_NewRef(Py_None);
    return drive(self, status, result);
}

static PySendResult coroutine_throw(struct py_coroutine *self, PyObject *exception,
                                    PyObject **result)
{
    PySendResult status = PYGEN_ERROR;
    *result = NULL;
    if (refuse_unless_resumable(self))
        return PYGEN_ERROR;
    if (self->state == PY_COROUTINE_CREATED) {
        self->state = PY_COROUTINE_FINISHED;
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        hide_stop_iteration();
        return PYGEN_ERROR;
    }
    self->state = PY_COROUTINE_RUNNING;
    if (self->waiting_for)
        status = step(self, NULL, exception, result);
    else
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    return drive(self, status, result);
}

/* --- as Python sees it -------------------------------------------------------------------- */

/* A returned value as StopIteration; called with it, for a tuple would become its arguments. */
static PyObject *as_iteration(PySendResult status, PyObject *result)
{
    if (status == PYGEN_NEXT)
        return result;
    if (status == PYGEN_RETURN) {
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
        if (stop)
            PyErr_SetObject(PyExc_StopIteration, stop);
        Py_XDECREF(stop);
        Py_DECREF(result);
    }
    return NULL;
}

static PyObject *coroutine_method_send(PyObject *self, PyObject *value)
{
    PyObject *result;
    PySendResult status = coroutine_send(self, value, &result);
    return as_iteration(status, result);
}

static PyObject *coroutine_next(PyObject *self)
{
    return coroutine_method_send(self, Py_None);
}

/* throw(exception), throw(type), throw(type, value), throw(type, value, traceback) */
static PyObject *thrown_exception(PyObject *args)
{
    PyObject *type, *value = NULL, *traceback = NULL;
    if (!PyArg_UnpackTuple(args, "throw", 1, 3, &type, &value, &traceback))
        return NULL;
    if (PyExceptionInstance_Check(type))
        return Py_NewRef(type);
    if (value && PyExceptionInstance_Check(value))
        return Py_NewRef(value);
    if (!PyExceptionClass_Check(type))
        return PyErr_Format(PyExc_TypeError,
                            "exceptions must derive from BaseException, not %.100s",
                            Py_TYPE(type)->tp_name);
    return value && value != Py_None ? PyObject_CallOneArg(type, value) : PyObject_CallNoArgs(type);
}

static PyObject *coroutine_method_throw(PyObject *self, PyObject *args)
{
    PyObject *result, *exception = thrown_exception(args);
    if (!exception)
        return NULL;
    PySendResult status = coroutine_throw((struct py_coroutine *)self, exception, &result);
    Py_DECREF(exception);
    return as_iteration(status, result);
}

static PyObject *coroutine_close(PyObject *object, PyObject *unused)
{
    struct py_coroutine *self = (struct py_coroutine *)object;
    (void)unused;
    if (self->state == PY_COROUTINE_CREATED)
        self->state = PY_COROUTINE_FINISHED;
    if (self->state == PY_COROUTINE_FINISHED)
        Py_RETURN_NONE;
    PyObject *result, *exit = PyObject_CallNoArgs(PyExc_GeneratorExit);
    if (!exit)
        return NULL;
    PySendResult status = coroutine_throw(self, exit, &result);
    Py_DECREF(exit);
    Py_XDECREF(result);
    if (status == PYGEN_NEXT) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine ignored GeneratorExit");
        return NULL;
    }
    if (status == PYGEN_ERROR) {
        if (!PyErr_ExceptionMatches(PyExc_GeneratorExit))
            return NULL;
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

void py_coroutine_finalize(PyObject *object)
{
    struct py_coroutine *self = (struct py_coroutine *)object;
    PyObject *before, *closed;
    if (self->state == PY_COROUTINE_FINISHED)
        return;
    before = py_take_exception();
    if (self->state == PY_COROUTINE_CREATED &&
        PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited",
                         self->ops->name))
        PyErr_WriteUnraisable(object);
    closed = coroutine_close(object, NULL);
    if (!closed)
        PyErr_WriteUnraisable(object);
    Py_XDECREF(closed);
    if (self->state == PY_COROUTINE_SUSPENDED) /* it would not, and nobody can go on with it */
        self->state = PY_COROUTINE_FINISHED;
    if (before)
        py_raise_again(before);
}

static PyObject *coroutine_self(PyObject *self)
{
    return Py_NewRef(self);
}

static PyObject *coroutine_name(PyObject *self, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(((struct py_coroutine *)self)->ops->name);
}

static PyObject *coroutine_running(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((struct py_coroutine *)self)->state == PY_COROUTINE_RUNNING);
}

static PyObject *coroutine_awaits(PyObject *self, void *unused)
{
    PyObject *iterator = ((struct py_coroutine *)self)->waiting_for;
    (void)unused;
    return Py_NewRef(iterator ? iterator : Py_None);
}

static PyGetSetDef coroutine_attributes[] = {
    {"__name__", coroutine_name, NULL, NULL, NULL},
    {"__qualname__", coroutine_name, NULL, NULL, NULL},
    {"cr_running", coroutine_running, NULL, NULL, NULL},
    {"cr_await", coroutine_awaits, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef coroutine_methods[] = {
    {"send", coroutine_method_send, METH_O, NULL},
    {"throw", coroutine_method_throw, METH_VARARGS, NULL},
    {"close", coroutine_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyAsyncMethods coroutine_async = {.am_await = coroutine_self, .am_send = coroutine_send};

PyTypeObject py_coroutine_base = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "necrostack._necrostack.Coroutine",
    .tp_basicsize = sizeof(struct py_coroutine),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_as_async = &coroutine_async,
    .tp_iter = coroutine_self,
    .tp_iternext = coroutine_next,
    .tp_methods = coroutine_methods,
    .tp_getset = coroutine_attributes,
};
