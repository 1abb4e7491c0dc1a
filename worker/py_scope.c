// SPDX-License-Identifier: Apache-2.0
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/py_scope.h"

static struct {
    enum scope_kind kind;
    bool timed_out;
    uint64_t id;
    PyObject *request;  /* borrowed */
    PyObject *token;    /* once asynchronous; compared by identity */
    PyObject *variable; /* ContextVar holding the token */
    unsigned long main_thread;
} scope;

int py_scope_init(void)
{
    scope.variable = PyContextVar_New("objectd_turn", NULL);
    py_scope_adopt_thread();
    return scope.variable ? 0 : -1;
}

void py_scope_adopt_thread(void)
{
    scope.main_thread = PyThread_get_thread_ident();
}

void py_scope_enter(enum scope_kind kind, uint64_t id, PyObject *request)
{
    scope.kind = kind;
    scope.id = id;
    scope.request = request;
    scope.timed_out = false;
}

void py_scope_set_kind(enum scope_kind kind)
{
    scope.kind = kind;
}

bool py_scope_is_main_thread(void)
{
    return PyThread_get_thread_ident() == scope.main_thread;
}

void py_scope_leave(void)
{
    scope.kind = SCOPE_OUTSIDE;
    scope.id = 0;
    scope.request = NULL;
    Py_CLEAR(scope.token);
}

PyObject *py_scope_context(void)
{
    PyObject *context = PyContext_CopyCurrent();
    if (!scope.token)
        scope.token = PyLong_FromUnsignedLongLong(scope.id);
    if (!context || !scope.token || PyContext_Enter(context) < 0)
        goto failed;
    PyObject *reset = PyContextVar_Set(scope.variable, scope.token);
    if (PyContext_Exit(context) < 0 || !reset) {
        Py_XDECREF(reset);
        goto failed;
    }
    Py_DECREF(reset);
    return context;
failed:
    Py_XDECREF(context);
    return NULL;
}

static bool carries_token(void)
{
    PyObject *value = NULL;
    if (!scope.token)
        return false;
    if (PyContextVar_Get(scope.variable, NULL, &value) < 0) {
        PyErr_Clear();
        return false;
    }
    bool is_ours = value == scope.token;
    Py_XDECREF(value);
    return is_ours;
}

enum scope_kind py_scope_here(void)
{
    if (scope.kind == SCOPE_OUTSIDE || scope.kind == SCOPE_LOADING)
        return scope.kind;
    if (!scope.token && PyThread_get_thread_ident() == scope.main_thread)
        return scope.kind;
    return carries_token() ? scope.kind : SCOPE_OUTSIDE;
}

PyObject *py_scope_request(void)
{
    return py_scope_here() == SCOPE_OUTSIDE ? NULL : scope.request;
}

uint64_t py_scope_id_here(void)
{
    return py_scope_here() == SCOPE_OUTSIDE ? 0 : scope.id;
}

uint64_t py_scope_id(void)
{
    return scope.id;
}

void py_scope_mark_timeout(void)
{
    scope.timed_out = true;
}

bool py_scope_timed_out(void)
{
    return scope.timed_out;
}
