// SPDX-License-Identifier: Apache-2.0
#include "worker/py_call_error.h"

#include "worker/py_json.h"

enum failure { NOT_FOUND, UNAVAILABLE, TIMED_OUT, CYCLE, RAISED, FAILURES };

static struct {
    const char *name;
    const char *doc;
    uint32_t status; /* of a handler that lets it pass */
    PyObject *type;
} classes[FAILURES] = {
    [NOT_FOUND] = {"ObjectNotFound", "There is no such object.", 500, NULL},
    [UNAVAILABLE] = {"ObjectUnavailable",
                     "The object cannot be called now: it crashed, does not load, or a limit is "
                     "reached.",
                     502, NULL},
    [TIMED_OUT] = {"CallTimeout", "No answer came in time. A TimeoutError too.", 504, NULL},
    [CYCLE] = {"CallCycle",
               "The objects in `cycle` would wait for each other for ever, or too many wait.", 508,
               NULL},
    [RAISED] = {"ObjectError",
                "The other handler raised (type, message, traceback), or answered with a status of "
                "400 or more (status, body).",
                500, NULL},
};

static PyObject *base; /* CallError */

/* What every one of them has, so that code may ask without trying. */
static PyObject *make_base(void)
{
    PyObject *attributes =
        Py_BuildValue("{sO,sO,sO,sO,sO,sO,sO,sO,sO,sO}", "object_id", Py_None, "status", Py_None,
                      "body", Py_None, "limit", Py_None, "cycle", Py_None, "crash_id", Py_None,
                      "retryable", Py_None, "type", Py_None, "message", Py_None, "traceback",
                      Py_None);
    PyObject *type =
        attributes ? PyErr_NewExceptionWithDoc("objectd.CallError",
                                               "A call of another object failed.", NULL, attributes)
                   : NULL;
    Py_XDECREF(attributes);
    return type;
}

static PyObject *make_class(enum failure f)
{
    char name[64];
    PyObject *bases =
        f == TIMED_OUT ? PyTuple_Pack(2, base, PyExc_TimeoutError) : PyTuple_Pack(1, base);
    PyOS_snprintf(name, sizeof(name), "objectd.%s", classes[f].name);
    PyObject *type = bases ? PyErr_NewExceptionWithDoc(name, classes[f].doc, bases, NULL) : NULL;
    Py_XDECREF(bases);
    return type;
}

int py_call_error_init(void)
{
    base = make_base();
    for (int f = 0; base && f < FAILURES; f++) {
        classes[f].type = make_class((enum failure)f);
        if (!classes[f].type)
            return -1;
    }
    return base ? 0 : -1;
}

PyObject *py_call_error_class(const char *name)
{
    PyObject *found = strcmp(name, "CallError") == 0 ? base : NULL;
    for (int f = 0; f < FAILURES; f++)
        if (strcmp(name, classes[f].name) == 0)
            found = classes[f].type;
    Py_XINCREF(found);
    return found;
}

/* --- from an answer --- */

bool py_call_error_in(const struct rpc_answer *m)
{
    return m->status >= 400 || m->outcome != RPC_OUTCOME_OK;
}

static enum failure failure_of_status(uint32_t status, enum failure otherwise)
{
    switch (status) {
    case 502:
    case 503:
        return UNAVAILABLE;
    case 504:
        return TIMED_OUT;
    case 508:
        return CYCLE;
    default:
        return otherwise;
    }
}

/*
 * What the handler itself answered is an ObjectError, whatever its status; what it let pass, and
 * what it was never asked, keeps its kind from object to object.
 */
static enum failure failure_of(const struct rpc_answer *m)
{
    if (m->by_station && m->status == 404)
        return NOT_FOUND;
    if (m->by_station)
        return failure_of_status(m->status, UNAVAILABLE);
    return m->outcome == RPC_OUTCOME_OK ? RAISED : failure_of_status(m->status, RAISED);
}

/* Borrowed; NULL without an exception. */
static PyObject *member(PyObject *body, const char *name)
{
    return body && PyDict_Check(body) ? PyDict_GetItemString(body, name) : NULL;
}

static PyObject *text_of(PyObject *object_id, const struct rpc_answer *m, PyObject *body)
{
    PyObject *error = member(body, "error");
    if (!error || !PyUnicode_Check(error))
        return PyUnicode_FromFormat("%U answered with status %u", object_id, (unsigned)m->status);
    if (m->by_station)
        return PyUnicode_FromFormat("%U: %U", object_id, error);
    if (m->outcome == RPC_OUTCOME_RAISED)
        return PyUnicode_FromFormat("%U raised %U", object_id, error);
    return PyUnicode_FromFormat("%U answered with status %u: %U", object_id, (unsigned)m->status,
                                error);
}

/* The text of "ValueError: not a number" behind its type. A new reference. */
static PyObject *message_of(PyObject *error, PyObject *type)
{
    Py_ssize_t skip = type && PyUnicode_Check(type) ? PyUnicode_GET_LENGTH(type) + 2 : 0;
    if (skip && PyUnicode_Tailmatch(error, type, 0, PY_SSIZE_T_MAX, -1) == 1 &&
        PyUnicode_GET_LENGTH(error) >= skip)
        return PyUnicode_Substring(error, skip, PY_SSIZE_T_MAX);
    Py_INCREF(error);
    return error;
}

static int set(PyObject *exception, const char *name, PyObject *value)
{
    return value ? PyObject_SetAttrString(exception, name, value) : 0;
}

static int set_message(PyObject *exception, PyObject *body)
{
    PyObject *error = member(body, "error"), *type = member(body, "error_type");
    if (!error || !PyUnicode_Check(error))
        return 0;
    PyObject *message = message_of(error, type);
    int err = message ? set(exception, "message", message) : -1;
    Py_XDECREF(message);
    return err;
}

static int describe(PyObject *exception, PyObject *object_id, const struct rpc_answer *m,
                    PyObject *body)
{
    static const char *const members[] = {"limit", "cycle", "crash_id", "retryable",
                                          "traceback"};
    PyObject *status = PyLong_FromUnsignedLong(m->status);
    int err = status ? set(exception, "status", status) : -1;
    Py_XDECREF(status);
    if (!err)
        err = set(exception, "object_id", object_id);
    if (!err)
        err = set(exception, "body", body);
    for (size_t i = 0; !err && i < sizeof(members) / sizeof(members[0]); i++)
        err = set(exception, members[i], member(body, members[i]));
    if (!err)
        err = set(exception, "type", member(body, "error_type"));
    return err ? err : set_message(exception, body);
}

void py_call_error_raise(PyObject *object_id, const struct rpc_answer *m, PyObject *body)
{
    PyObject *type = classes[failure_of(m)].type;
    PyObject *text = text_of(object_id, m, body);
    PyObject *exception = text ? PyObject_CallFunctionObjArgs(type, text, NULL) : NULL;
    if (exception && describe(exception, object_id, m, body) == 0)
        PyErr_SetObject(type, exception);
    Py_XDECREF(text);
    Py_XDECREF(exception);
}

/* --- on its way out of a handler --- */

static void put_member(struct buf *members, PyObject *exception, const char *name)
{
    struct span text;
    PyObject *value = PyObject_GetAttrString(exception, name);
    PyObject *owner = value && value != Py_None ? py_json_encode(value, &text) : NULL;
    if (owner) {
        buf_printf(members, ",\"%s\":", name);
        buf_append(members, text.data, text.len);
    }
    Py_XDECREF(value);
    Py_XDECREF(owner);
    PyErr_Clear();
}

uint32_t py_call_error_status(struct buf *members)
{
    int f = 0;
    while (f < FAILURES && !PyErr_ExceptionMatches(classes[f].type))
        f++;
    if (f == FAILURES)
        return 0;
    PyObject *exception = py_take_exception();
    put_member(members, exception, "limit");
    put_member(members, exception, "cycle");
    py_raise_again(exception);
    return classes[f].status;
}
