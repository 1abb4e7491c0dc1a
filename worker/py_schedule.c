// SPDX-License-Identifier: Apache-2.0
#include "worker/py_schedule.h"

#include "common/when.h"
#include "worker/py_json.h"
#include "worker/py_runtime.h"
#include "worker/py_scope.h"
#include "worker/py_state.h"

#include <stdlib.h>

static PyObject *schedule_function, *unschedule_function;
static PyObject *module_names, *module_injected;
static PyObject *imported; /* list of tuples */
static struct {
    struct buf text; /* encoded rpc_schedule, of the running turn */
    uint32_t count;
} asked;

/* --- arguments --- */

static PyObject *wrong_type(const char *argument, const char *expected, PyObject *value)
{
    return PyErr_Format(PyExc_TypeError, "_schedule: %s is %s, not %.100s", argument, expected,
                        Py_TYPE(value)->tp_name);
}

/* A new str: as when.h reads it. datetime objects are what they print as ISO 8601. */
static PyObject *when_text(PyObject *when)
{
    PyObject *text;
    if (PyUnicode_CheckExact(when)) {
        text = PyObject_CallMethod(when, "strip", NULL);
    } else if (PyBool_Check(when)) {
        text = NULL;
    } else if (PyFloat_Check(when) || PyLong_Check(when)) {
        PyObject *number = PyFloat_Check(when) ? PyNumber_Float(when) : PyNumber_Long(when);
        text = number ? PyObject_Repr(number) : NULL;
        Py_XDECREF(number);
    } else if (PyObject_HasAttrString(when, "hour") && PyObject_HasAttrString(when, "isoformat")) {
        text = PyObject_CallMethod(when, "isoformat", NULL);
    } else {
        text = PyUnicode_Check(when) ? PyObject_Str(when) : NULL;
    }
    if (!text && !PyErr_Occurred())
        wrong_type("when",
                   "a number of seconds, a time table such as \"*/5 * * * *\", or an ISO time",
                   when);
    return text;
}

/* The text of a time that can be kept, or NULL with ValueError. */
static const char *checked_when(PyObject *text)
{
    struct when when;
    char problem[WHEN_PROBLEM_SIZE];
    Py_ssize_t len;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &len);
    if (!bytes)
        return NULL;
    if (strlen(bytes) == (size_t)len && when_parse(bytes, &when, problem, sizeof(problem)))
        return bytes;
    PyErr_Format(PyExc_ValueError, "_schedule: when is %R: %s", text,
                 strlen(bytes) == (size_t)len ? problem : "it holds a NUL character");
    return NULL;
}

/* A new str: the name of a function of the module, which may be given itself. */
static PyObject *function_name(PyObject *function)
{
    if (PyUnicode_Check(function))
        return PyUnicode_FromObject(function);
    PyObject *name =
        PyCallable_Check(function) ? PyObject_GetAttrString(function, "__name__") : NULL;
    if (name && PyUnicode_Check(name))
        return name;
    Py_XDECREF(name);
    PyErr_Clear();
    return wrong_type("function", "the name of a function of the module", function);
}

static bool is_function(PyObject *name)
{
    PyObject *found = PyDict_GetItemWithError(module_names, name);
    bool is_own = found && PyDict_GetItemWithError(module_injected, name) != found;
    PyErr_Clear();
    return found && is_own && PyCallable_Check(found) && !PyType_Check(found);
}

static int check_function(PyObject *name)
{
    if (is_function(name))
        return 0;
    PyErr_Format(PyExc_ValueError, "_schedule: function is %R: the module has no such function",
                 name);
    return -1;
}

static int misfire_of(PyObject *value)
{
    if (!value)
        return RPC_MISFIRE_ONCE;
    for (int i = 0; i < RPC_MISFIRES && PyUnicode_Check(value); i++)
        if (PyUnicode_CompareWithASCIIString(value, rpc_misfire_names[i]) == 0)
            return i;
    PyErr_Format(PyUnicode_Check(value) ? PyExc_ValueError : PyExc_TypeError,
                 "_schedule: misfire is %R: it must be \"skip\", \"once\" or \"all\"", value);
    return -1;
}

/* The payload's JSON: an object that owns it, and its span, which is empty for None. */
static PyObject *payload_text(PyObject *payload, struct span *text)
{
    uint64_t most = py_runtime_facts()->schedule_payload_max;
    *text = (struct span){"", 0};
    if (!payload || payload == Py_None) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    PyObject *owner = py_json_encode(payload, text);
    if (!owner || text->len <= most)
        return owner;
    Py_DECREF(owner);
    return PyErr_Format(PyExc_ValueError,
                        "_schedule: payload is %zu bytes of JSON, the limit is %llu "
                        "(limits.schedule_payload_max)",
                        text->len, (unsigned long long)most);
}

static const char *place_name(enum scope_kind here)
{
    if (here == SCOPE_STREAM)
        return "a streamed reply";
    return here == SCOPE_OUTSIDE ? "a thread or a task left over" : "health() or migrate_state()";
}

static int check_place(const char *caller)
{
    enum scope_kind here = py_scope_here();
    if (here == SCOPE_LOADING)
        return 0;
    if (py_scope_request() && (here == SCOPE_TURN || here == SCOPE_TEST)) {
        if (py_state_may_write() == 0)
            return 0;
        PyErr_Clear();
        PyErr_Format(PyExc_RuntimeError,
                     "%s: this turn may not write (the object is stateless, or the method "
                     "readonly): declare schedules in __endpoint__[\"schedule\"]",
                     caller);
        return -1;
    }
    PyErr_Format(PyExc_RuntimeError,
                 "%s: only turns and the import of the module change schedules, not %s", caller,
                 place_name(here));
    return -1;
}

/* --- what is kept until the end of the turn, or of the import --- */

static void ask(const struct rpc_schedule *one)
{
    rpc_schedule_encode(&asked.text, one);
    asked.count++;
}

static int keep_imported(PyObject *function, PyObject *when, struct span payload, int misfire)
{
    PyObject *item =
        Py_BuildValue("[OOs#i]", function, when, payload.data, (Py_ssize_t)payload.len, misfire);
    int err = item ? PyList_Append(imported, item) : -1;
    Py_XDECREF(item);
    return err;
}

static int keep(PyObject *function, PyObject *when, struct span payload, int misfire)
{
    Py_ssize_t len;
    const char *time = checked_when(when);
    const char *name = time ? PyUnicode_AsUTF8AndSize(function, &len) : NULL;
    if (!name)
        return -1;
    if (py_scope_here() == SCOPE_LOADING)
        return keep_imported(function, when, payload, misfire);
    if (check_function(function) < 0)
        return -1;
    ask(&(struct rpc_schedule){.op = RPC_SCHEDULE_SET,
                               .function = {name, (size_t)len},
                               .payload = payload,
                               .when = span_of(time),
                               .misfire = (enum rpc_misfire)misfire});
    return 0;
}

/* --- the two functions --- */

static PyObject *schedule(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"when", "function", "payload", "misfire", NULL};
    PyObject *when, *function, *payload = NULL, *policy = NULL;
    struct span text;
    (void)self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|OO:_schedule", names, &when, &function,
                                     &payload, &policy) ||
        check_place("_schedule") < 0)
        return NULL;
    int misfire = misfire_of(policy);
    PyObject *time = misfire < 0 ? NULL : when_text(when);
    PyObject *name = time ? function_name(function) : NULL;
    PyObject *owner = name ? payload_text(payload, &text) : NULL;
    int err = owner ? keep(name, time, text, misfire) : -1;
    Py_XDECREF(owner);
    Py_XDECREF(name);
    Py_XDECREF(time);
    if (err)
        return NULL;
    Py_RETURN_NONE;
}

/* Of the import only what the import itself has said. */
static int forget_imported(PyObject *name)
{
    for (Py_ssize_t i = PyList_GET_SIZE(imported); i-- > 0;) {
        PyObject *function = PyList_GET_ITEM(PyList_GET_ITEM(imported, i), 0);
        bool is_meant = !name || PyUnicode_Compare(function, name) == 0;
        if (is_meant && PySequence_DelItem(imported, i) < 0)
            return -1;
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* name: NULL all functions; payload: NULL all payloads. */
static int forget(PyObject *name, PyObject *payload)
{
    Py_ssize_t len = 0;
    struct span text;
    const char *bytes = name ? PyUnicode_AsUTF8AndSize(name, &len) : "";
    if (!bytes)
        return -1;
    if (py_scope_here() == SCOPE_LOADING)
        return forget_imported(name);
    PyObject *owner = payload_text(payload, &text);
    if (owner)
        ask(&(struct rpc_schedule){.op = payload && name ? RPC_SCHEDULE_DELETE_ONE
                                                         : RPC_SCHEDULE_DELETE,
                                   .function = {bytes, (size_t)len},
                                   .payload = payload && name ? text : (struct span){"", 0},
                                   .when = {"", 0}});
    Py_XDECREF(owner);
    return owner ? 0 : -1;
}

static PyObject *unschedule(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"function", "payload", NULL};
    PyObject *function = Py_None, *payload = NULL, *name = NULL;
    (void)self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:_unschedule", names, &function, &payload) ||
        check_place("_unschedule") < 0)
        return NULL;
    if (function != Py_None && !(name = function_name(function)))
        return NULL;
    if (name && PyUnicode_GetLength(name) == 0) {
        Py_DECREF(name);
        return PyErr_Format(PyExc_ValueError, "_unschedule: function is empty");
    }
    int err = forget(name, payload);
    Py_XDECREF(name);
    if (err)
        return NULL;
    Py_RETURN_NONE;
}

#define KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
    {"_schedule", KEYWORDS(schedule), METH_VARARGS | METH_KEYWORDS,
     "_schedule(when, function, payload=None, misfire=\"once\"): calls a function of the module "
     "every `when` seconds, by a time table of five fields, or once at an ISO time"},
    {"_unschedule", KEYWORDS(unschedule), METH_VARARGS | METH_KEYWORDS,
     "_unschedule(function=None, payload=...): no more, of all functions, of one, or of one with "
     "that payload"},
};

int py_schedule_init(void)
{
    schedule_function = PyCFunction_New(&methods[0], NULL);
    unschedule_function = PyCFunction_New(&methods[1], NULL);
    imported = PyList_New(0);
    return schedule_function && unschedule_function && imported ? 0 : -1;
}

PyObject *py_schedule(void)
{
    return schedule_function;
}

PyObject *py_unschedule(void)
{
    return unschedule_function;
}

/* --- the module --- */

void py_schedule_set_module(PyObject *names, PyObject *injected)
{
    module_names = names;
    module_injected = injected;
    Py_INCREF(names);
    Py_INCREF(injected);
}

int py_schedule_check_module(void)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(imported); i++)
        if (check_function(PyList_GET_ITEM(PyList_GET_ITEM(imported, i), 0)) < 0)
            return -1;
    return 0;
}

PyObject *py_schedule_imported(void)
{
    return PyList_GetSlice(imported, 0, PyList_GET_SIZE(imported));
}

PyObject *py_schedule_missing(PyObject *names)
{
    PyObject *missing = PyList_New(0);
    for (Py_ssize_t i = 0; missing && names && i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyList_GET_ITEM(names, i);
        if (!is_function(name) && PyList_Append(missing, name) < 0)
            Py_CLEAR(missing);
    }
    return missing;
}

/* --- the end of a turn --- */

void py_schedule_commit(struct reply *reply)
{
    buf_append(&reply->schedules, asked.text.data ? asked.text.data : "", asked.text.len);
    if (!buf_ok(&asked.text))
        reply->schedules.failed = true;
    reply->schedule_count = asked.count;
    py_schedule_undo();
}

void py_schedule_undo(void)
{
    enum { KEPT = 64 * 1024 };
    buf_reset(&asked.text, KEPT);
    asked.count = 0;
}

/* --- ticks --- */

static void free_plan(PyObject *capsule)
{
    struct call_plan *plan = PyCapsule_GetPointer(capsule, NULL);
    py_signature_free(plan);
    free(plan);
}

static PyObject *new_plan(PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    struct call_plan *plan = text ? calloc(1, sizeof(*plan)) : NULL;
    if (!plan)
        return text ? PyErr_NoMemory() : NULL;
    PyObject *function = PyDict_GetItem(module_names, name);
    if (py_signature_plan(plan, text, function, module_injected) < 0) {
        py_signature_free(plan);
        free(plan);
        return NULL;
    }
    return PyCapsule_New(plan, NULL, free_plan);
}

const struct call_plan *py_schedule_plan(struct span function)
{
    static PyObject *plans; /* name -> capsule */
    PyObject *name = py_text(function.data, function.len);
    const struct call_plan *plan = NULL;
    if (!plans && !(plans = PyDict_New()))
        return NULL;
    PyObject *capsule = name ? PyDict_GetItemWithError(plans, name) : NULL;
    if (!capsule && name && is_function(name) && (capsule = new_plan(name))) {
        int err = PyDict_SetItem(plans, name, capsule);
        Py_DECREF(capsule);
        capsule = err ? NULL : capsule;
    }
    if (capsule)
        plan = PyCapsule_GetPointer(capsule, NULL);
    Py_XDECREF(name);
    return plan;
}
