// SPDX-License-Identifier: Apache-2.0
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/py_scope.h"

#include "common/log.h"

/* The token that contexts carry. Once it is over its kind is OUTSIDE, whoever still has it. */
struct scope {
    PyObject_HEAD enum scope_kind kind;
    bool is_async; /* code belongs to it by its context, not by its thread */
    bool timed_out;
    uint64_t id;
    PyObject *request; /* borrowed */
};

static struct {
    struct scope *current; /* of the main thread; kind OUTSIDE between turns */
    size_t suspended;      /* scopes that go on as tasks */
    PyObject *variable;    /* ContextVar holding a scope */
    unsigned long main_thread;
} scopes;

static PyTypeObject scope_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objectd.Scope",
    .tp_basicsize = sizeof(struct scope),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A turn of the object.",
};

/* A signal handler may ask for the current one at any moment. */
static void replace_current(void)
{
    struct scope *old = scopes.current, *fresh = PyObject_New(struct scope, &scope_type);
    if (!fresh)
        die(EXIT_CODE_ENVIRONMENT, "no memory for a turn");
    fresh->kind = SCOPE_OUTSIDE;
    fresh->is_async = fresh->timed_out = false;
    fresh->id = 0;
    fresh->request = NULL;
    scopes.current = fresh;
    Py_XDECREF(old);
}

int py_scope_init(void)
{
    scopes.variable = PyContextVar_New("objectd_turn", NULL);
    py_scope_adopt_thread();
    if (!scopes.variable || PyType_Ready(&scope_type) < 0)
        return -1;
    replace_current();
    return 0;
}

void py_scope_adopt_thread(void)
{
    scopes.main_thread = PyThread_get_thread_ident();
}

void py_scope_enter(enum scope_kind kind, uint64_t id, PyObject *request)
{
    struct scope *s = scopes.current;
    s->kind = kind;
    s->is_async = s->timed_out = false;
    s->id = id;
    s->request = request;
}

void py_scope_set_kind(enum scope_kind kind)
{
    scopes.current->kind = kind;
}

bool py_scope_is_main_thread(void)
{
    return PyThread_get_thread_ident() == scopes.main_thread;
}

void py_scope_leave(void)
{
    struct scope *s = scopes.current;
    s->kind = SCOPE_OUTSIDE;
    s->id = 0;
    s->request = NULL;
    if (Py_REFCNT(s) > 1) /* what it left over still carries it */
        replace_current();
}

PyObject *py_scope_context(void)
{
    PyObject *context = PyContext_CopyCurrent();
    scopes.current->is_async = true;
    if (!context || PyContext_Enter(context) < 0)
        goto failed;
    PyObject *reset = PyContextVar_Set(scopes.variable, (PyObject *)scopes.current);
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

PyObject *py_scope_suspend(void)
{
    struct scope *s = scopes.current;
    Py_INCREF(s);
    replace_current();
    scopes.suspended++;
    return (PyObject *)s;
}

PyObject *py_scope_resume(PyObject *suspended)
{
    struct scope *before = scopes.current;
    scopes.current = (struct scope *)suspended;
    scopes.current->is_async = false; /* nothing else runs until it is left */
    scopes.suspended--;
    return (PyObject *)before;
}

void py_scope_go_back(PyObject *before)
{
    struct scope *ended = scopes.current;
    scopes.current = (struct scope *)before;
    Py_DECREF(ended);
}

/* The scope that the context of the caller carries; NULL none, or one that is over. */
static struct scope *of_context(void)
{
    PyObject *value = NULL;
    if (PyContextVar_Get(scopes.variable, NULL, &value) < 0) {
        PyErr_Clear();
        return NULL;
    }
    struct scope *s = (struct scope *)value;
    if (value && (!Py_IS_TYPE(value, &scope_type) || s->kind == SCOPE_OUTSIDE))
        s = NULL;
    Py_XDECREF(value); /* the context keeps it */
    return s;
}

static struct scope *here(void)
{
    struct scope *s = scopes.current;
    if (s->kind == SCOPE_OUTSIDE && scopes.suspended == 0)
        return NULL;
    if (s->kind == SCOPE_LOADING)
        return s;
    bool by_thread = s->kind != SCOPE_OUTSIDE && !s->is_async;
    if (by_thread && PyThread_get_thread_ident() == scopes.main_thread)
        return s;
    return of_context();
}

enum scope_kind py_scope_here(void)
{
    const struct scope *s = here();
    return s ? s->kind : SCOPE_OUTSIDE;
}

PyObject *py_scope_request(void)
{
    const struct scope *s = here();
    return s ? s->request : NULL;
}

uint64_t py_scope_id_here(void)
{
    const struct scope *s = here();
    return s ? s->id : 0;
}

PyObject *py_scope_token(void)
{
    return (PyObject *)here();
}

uint64_t py_scope_id(void)
{
    return scopes.current->id;
}

void py_scope_mark_timeout(void)
{
    scopes.current->timed_out = true;
}

void py_scope_mark_late(PyObject *suspended)
{
    ((struct scope *)suspended)->timed_out = true;
}

bool py_scope_timed_out(void)
{
    return scopes.current->timed_out;
}
