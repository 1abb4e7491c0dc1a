// SPDX-License-Identifier: Apache-2.0
#include "worker/py_action.h"

#include "worker/py_request.h"
#include "worker/py_runtime.h"

enum { ACTIONS = 2 };

static struct action actions[ACTIONS] = {{.name = "start", .done = "started"},
                                         {.name = "stop", .done = "stopped"}};
static bool any;
static bool raw_query; /* the query belongs to the object alone */

/* --- what the object has --- */

/* A helper that happens to be called start is none of our business, nor why it cannot be called. */
static int find(struct action *a, PyObject *names, PyObject *injected)
{
    PyObject *function = PyDict_GetItemString(names, a->name);
    if (!function || !PyCallable_Check(function) || PyType_Check(function))
        return 0;
    if (py_signature_plan(&a->plan, a->name, function, injected) == 0) {
        any = true;
        return 0;
    }
    a->plan = (struct call_plan){0};
    if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_ValueError))
        return -1;
    PyErr_Clear();
    return 0;
}

static bool wants_raw_query(PyObject *names)
{
    PyObject *endpoint = PyDict_GetItemString(names, "__endpoint__");
    return endpoint && PyDict_Check(endpoint) &&
           PyDict_GetItemString(endpoint, "raw_query") == Py_True;
}

int py_action_find(PyObject *names, PyObject *injected)
{
    raw_query = wants_raw_query(names);
    for (size_t i = 0; i < ACTIONS; i++)
        if (find(&actions[i], names, injected) < 0)
            return -1;
    return 0;
}

/* --- what the request asks for --- */

bool py_action_possible(struct span method)
{
    return any && span_equal(method, "POST");
}

const struct action *py_action_of(PyObject *request)
{
    bool from_query;
    if (!py_request_is_single(request, &from_query) || (from_query && raw_query))
        return NULL;
    PyObject *wanted = PyDict_GetItemString(request, "action");
    if (!wanted || !PyUnicode_Check(wanted))
        return NULL;
    for (size_t i = 0; i < ACTIONS; i++)
        if (PyUnicode_CompareWithASCIIString(wanted, actions[i].name) == 0)
            return actions[i].plan.function ? &actions[i] : NULL;
    return NULL;
}

/* --- the answer --- */

static PyObject *wrap(const struct action *a, PyObject *result, bool failed)
{
    PyObject *id = py_runtime_facts()->object_id;
    PyObject *message = PyUnicode_FromFormat("%U %s", id, failed ? "refused" : a->done);
    PyObject *answer = message
                           ? Py_BuildValue("{ss,sO,sO,sO}", "status", failed ? "error" : "ok",
                                           "message", message, "object_id", id, "result", result)
                           : NULL;
    Py_XDECREF(message);
    return answer;
}

static bool is_failure(PyObject *status)
{
    return PyLong_AsLong(status) >= 400 || PyErr_Occurred();
}

/* (body, status) and (status, headers, body), as handlers return them. */
PyObject *py_action_answer(const struct action *a, PyObject *result)
{
    Py_ssize_t count = PyTuple_Check(result) ? PyTuple_GET_SIZE(result) : 0;
    Py_ssize_t status_at = count == 2 ? 1 : 0, body_at = count == 2 ? 0 : 2;
    PyObject *status = count == 2 || count == 3 ? PyTuple_GET_ITEM(result, status_at) : NULL;
    if (!status || !PyLong_Check(status) || PyBool_Check(status))
        return wrap(a, result, false);
    bool failed = is_failure(status);
    PyErr_Clear(); /* a status beyond every number is refused with the reply */
    PyObject *body = wrap(a, PyTuple_GET_ITEM(result, body_at), failed);
    if (!body)
        return NULL;
    PyObject *answer = count == 2 ? PyTuple_Pack(2, body, status)
                                  : PyTuple_Pack(3, status, PyTuple_GET_ITEM(result, 1), body);
    Py_DECREF(body);
    return answer;
}
