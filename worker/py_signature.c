// SPDX-License-Identifier: Apache-2.0
#include "worker/py_signature.h"

#include <stdbool.h>

/* inspect.Parameter.kind */
enum kind {
    KIND_POSITIONAL_ONLY,
    KIND_EITHER,
    KIND_VAR_POSITIONAL,
    KIND_KEYWORD_ONLY,
    KIND_VAR_KEYWORD
};

struct parameter {
    PyObject *name;          /* owned */
    PyObject *default_value; /* owned; NULL: none */
    enum kind kind;
};

struct planning {
    struct call_plan *plan;
    const char *handler;
    PyObject *injected;
    PyObject *keywords; /* list of names */
    bool names_request; /* a parameter is called `request` */
    bool has_request;
    bool takes_any; /* *args */
};

static int read_parameter(struct parameter *p, PyObject *object, PyObject *empty)
{
    *p = (struct parameter){.name = PyObject_GetAttrString(object, "name")};
    PyObject *kind = PyObject_GetAttrString(object, "kind");
    p->default_value = PyObject_GetAttrString(object, "default");
    if (kind)
        p->kind = (enum kind)PyLong_AsLong(kind);
    Py_XDECREF(kind);
    if (p->default_value == empty)
        Py_CLEAR(p->default_value);
    return PyErr_Occurred() ? -1 : 0;
}

static void free_parameter(struct parameter *p)
{
    Py_XDECREF(p->name);
    Py_XDECREF(p->default_value);
}

static int add_argument(struct planning *g, const struct parameter *p, PyObject *value)
{
    struct call_plan *plan = g->plan;
    if (plan->count == CALL_ARGUMENTS_MAX) {
        PyErr_Format(PyExc_TypeError, "%s() has more than %d parameters", g->handler,
                     CALL_ARGUMENTS_MAX);
        return -1;
    }
    Py_XINCREF(value);
    plan->arguments[plan->count++] = value;
    if (p->kind == KIND_KEYWORD_ONLY)
        return PyList_Append(g->keywords, p->name);
    plan->positional++;
    return 0;
}

static bool wants_request(const struct planning *g, const struct parameter *p)
{
    if (PyUnicode_CompareWithASCIIString(p->name, "request") == 0)
        return true;
    return !g->names_request && !g->has_request;
}

static int plan_parameter(struct planning *g, const struct parameter *p)
{
    if (p->kind == KIND_VAR_POSITIONAL || p->kind == KIND_VAR_KEYWORD) {
        g->takes_any |= p->kind == KIND_VAR_POSITIONAL;
        return 0;
    }
    PyObject *known = PyDict_GetItemWithError(g->injected, p->name);
    if (known || PyErr_Occurred())
        return known ? add_argument(g, p, known) : -1;
    if (wants_request(g, p)) {
        g->has_request = true;
        return add_argument(g, p, NULL);
    }
    if (p->default_value)
        return add_argument(g, p, p->default_value);
    PyErr_Format(PyExc_TypeError,
                 "%s() has a parameter %R that nothing is known to give: handlers take request, "
                 "injected names (such as _state_manager) and parameters with defaults",
                 g->handler, p->name);
    return -1;
}

/* The parameters of a signature as a list; *empty is what stands for "no default". */
static PyObject *parameters_of(PyObject *function, PyObject **empty)
{
    PyObject *inspect = PyImport_ImportModule("inspect");
    PyObject *signature = inspect ? PyObject_CallMethod(inspect, "signature", "O", function) : NULL;
    PyObject *mapping = signature ? PyObject_GetAttrString(signature, "parameters") : NULL;
    PyObject *values = mapping ? PyMapping_Values(mapping) : NULL;
    *empty = values ? PyObject_GetAttrString(signature, "empty") : NULL;
    Py_XDECREF(inspect);
    Py_XDECREF(signature);
    Py_XDECREF(mapping);
    if (values && !*empty)
        Py_CLEAR(values);
    return values;
}

static int look_for_request(struct planning *g, PyObject *values)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(values); i++) {
        PyObject *name = PyObject_GetAttrString(PyList_GET_ITEM(values, i), "name");
        if (!name)
            return -1;
        if (PyUnicode_CompareWithASCIIString(name, "request") == 0)
            g->names_request = true;
        Py_DECREF(name);
    }
    return 0;
}

static int plan_parameters(struct planning *g, PyObject *values, PyObject *empty)
{
    if (look_for_request(g, values) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(values); i++) {
        struct parameter p;
        int err = read_parameter(&p, PyList_GET_ITEM(values, i), empty);
        if (!err)
            err = plan_parameter(g, &p);
        free_parameter(&p);
        if (err < 0)
            return err;
    }
    return 0;
}

/* def GET(*args, **kwargs), as a decorator without functools.wraps makes it, gets the request. */
static int plan_catch_all(struct planning *g)
{
    struct parameter p = {.kind = KIND_POSITIONAL_ONLY};
    if (!g->takes_any || g->has_request || g->plan->count > 0)
        return 0;
    return add_argument(g, &p, NULL);
}

static int plan_with(struct planning *g, PyObject *values, PyObject *empty)
{
    g->keywords = PyList_New(0);
    int err = g->keywords ? plan_parameters(g, values, empty) : -1;
    if (!err)
        err = plan_catch_all(g);
    if (!err && PyList_GET_SIZE(g->keywords) > 0) {
        g->plan->kwnames = PyList_AsTuple(g->keywords);
        err = g->plan->kwnames ? 0 : -1;
    }
    Py_XDECREF(g->keywords);
    return err;
}

static int plan_function(struct planning *g, PyObject *function)
{
    struct call_plan *plan = g->plan;
    PyObject *empty = NULL;
    *plan = (struct call_plan){0};
    if (!PyCallable_Check(function)) {
        PyErr_Format(PyExc_TypeError, "%s is %.100s, not a function", g->handler,
                     Py_TYPE(function)->tp_name);
        return -1;
    }
    Py_INCREF(function);
    plan->function = function;
    PyObject *values = parameters_of(function, &empty);
    if (!values && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear(); /* a builtin that does not tell: the request it is */
        plan->positional = plan->count = 1;
        return 0;
    }
    int err = values ? plan_with(g, values, empty) : -1;
    plan->names_request = g->names_request;
    Py_XDECREF(values);
    Py_XDECREF(empty);
    return err;
}

int py_signature_plan(struct call_plan *plan, const char *name, PyObject *function,
                      PyObject *injected)
{
    struct planning g = {.plan = plan, .handler = name, .injected = injected};
    return plan_function(&g, function);
}

int py_signature_plan_exact(struct call_plan *plan, const char *name, PyObject *function,
                            PyObject *injected)
{
    struct planning g = {
        .plan = plan, .handler = name, .injected = injected, .names_request = true};
    return plan_function(&g, function);
}

void py_signature_free(struct call_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        Py_XDECREF(plan->arguments[i]);
    Py_XDECREF(plan->kwnames);
    Py_XDECREF(plan->function);
    *plan = (struct call_plan){0};
}

PyObject *py_signature_call(const struct call_plan *plan, PyObject *request)
{
    PyObject *room[CALL_ARGUMENTS_MAX + 1];
    PyObject **arguments = room + 1;
    for (size_t i = 0; i < plan->count; i++)
        arguments[i] = plan->arguments[i] ? plan->arguments[i] : request;
    return PyObject_Vectorcall(plan->function, arguments,
                               plan->positional | PY_VECTORCALL_ARGUMENTS_OFFSET, plan->kwnames);
}
