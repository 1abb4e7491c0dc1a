// SPDX-License-Identifier: Apache-2.0
#include "worker/py_handlers.h"

enum method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHODS
};

static const char *const method_names[METHODS] = {"GET",   "HEAD",   "POST",   "PUT",
                                                  "PATCH", "DELETE", "OPTIONS"};

static struct call_plan plans[METHODS];
static struct buf allow;

static bool has(enum method method)
{
    return plans[method].function != NULL;
}

static void allow_add(const char *name)
{
    if (allow.len > 0)
        buf_puts(&allow, ", ");
    buf_puts(&allow, name);
}

static void write_allow(void)
{
    for (int m = 0; m < METHODS; m++)
        if (has((enum method)m) || m == METHOD_OPTIONS || (m == METHOD_HEAD && has(METHOD_GET)))
            allow_add(method_names[m]);
}

int py_handlers_find(PyObject *names, PyObject *injected)
{
    for (int m = 0; m < METHODS; m++) {
        PyObject *function = PyDict_GetItemString(names, method_names[m]);
        if (function && py_signature_plan(&plans[m], method_names[m], function, injected) < 0)
            return -1;
    }
    write_allow();
    return 0;
}

const struct call_plan *py_handlers_get(struct span method)
{
    for (int m = 0; m < METHODS; m++) {
        if (!span_equal(method, method_names[m]))
            continue;
        if (m == METHOD_HEAD && !has(METHOD_HEAD))
            m = METHOD_GET;
        return has((enum method)m) ? &plans[m] : NULL;
    }
    return NULL;
}

const char *py_handlers_allow(void)
{
    return buf_str(&allow);
}

bool py_handlers_any(void)
{
    for (int m = 0; m < METHODS; m++)
        if (has((enum method)m))
            return true;
    return false;
}

PyObject *py_handlers_list(void)
{
    PyObject *list = PyList_New(0);
    for (int m = 0; list && m < METHODS; m++) {
        PyObject *name = has((enum method)m) ? PyUnicode_FromString(method_names[m]) : NULL;
        if (name && PyList_Append(list, name) < 0)
            Py_CLEAR(list);
        Py_XDECREF(name);
    }
    return list;
}
