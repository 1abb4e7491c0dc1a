// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_validation_error.h"

#include "worker/py_compat.h"

/* The arguments of the exception are (title, faults), so it pickles as every exception does. */
PyObject *py_validation_error;

int py_validation_error_note(PyObject **faults, const char *type, PyObject *loc, PyObject *msg,
                             PyObject *input)
{
    PyObject *fault = NULL;
    int err = -1;
    if (loc && msg && !*faults)
        *faults = PyList_New(0);
    if (loc && msg && *faults)
        fault = Py_BuildValue("{sssOsOsO}", "type", type, "loc", loc, "msg", msg, "input",
                              input ? input : Py_None);
    if (fault)
        err = PyList_Append(*faults, fault);
    Py_XDECREF(fault);
    Py_XDECREF(loc);
    Py_XDECREF(msg);
    return err;
}

int py_validation_error_field(PyObject **faults, const char *type, const char *field,
                              const char *msg, PyObject *input)
{
    return py_validation_error_note(faults, type, Py_BuildValue("(s)", field),
                                    PyUnicode_FromString(msg), input);
}

PyObject *py_validation_error_raise(PyObject **faults, const char *title)
{
    PyObject *exception =
        PyErr_Occurred() ? NULL : PyObject_CallFunction(py_validation_error, "sO", title, *faults);
    if (exception)
        PyErr_SetObject(py_validation_error, exception);
    Py_XDECREF(exception);
    Py_CLEAR(*faults);
    return NULL;
}

/* --- what it tells --- */

/* The list of faults, borrowed; NULL without an exception when somebody made it of something else.
 */
static PyObject *faults_of(PyObject *self)
{
    PyObject *args = ((PyBaseExceptionObject *)self)->args, *faults;
    if (!args || PyTuple_GET_SIZE(args) != 2 || !PyList_Check(PyTuple_GET_ITEM(args, 1)))
        return NULL;
    faults = PyTuple_GET_ITEM(args, 1);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(faults); i++)
        if (!PyDict_Check(PyList_GET_ITEM(faults, i)))
            return NULL;
    return faults;
}

/* A member of a fault, borrowed; None where somebody left it out. */
static PyObject *member(PyObject *fault, const char *name)
{
    PyObject *value = PyDict_GetItemString(fault, name);
    return value ? value : Py_None;
}

/* The faults as a new list of new dicts, so that nobody changes the exception. */
static PyObject *error_errors(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"include_url", "include_context", "include_input", NULL};
    int url = 0, context = 0, input = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$ppp:errors", names, &url, &context, &input))
        return NULL;
    PyObject *faults = faults_of(self);
    PyObject *list = PyList_New(0);
    int err = list ? 0 : -1;
    for (Py_ssize_t i = 0; !err && faults && i < PyList_GET_SIZE(faults); i++) {
        PyObject *fault = PyDict_Copy(PyList_GET_ITEM(faults, i));
        err = fault ? 0 : -1;
        if (!err && !input && PyDict_GetItemString(fault, "input"))
            err = PyDict_DelItemString(fault, "input");
        if (!err)
            err = PyList_Append(list, fault);
        Py_XDECREF(fault);
    }
    if (err)
        Py_CLEAR(list);
    return list;
}

static PyObject *error_count(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *faults = faults_of(self);
    return PyLong_FromSsize_t(faults ? PyList_GET_SIZE(faults) : 0);
}

static PyObject *error_title(PyObject *self, void *unused)
{
    (void)unused;
    if (!faults_of(self))
        return PyUnicode_FromString("");
    return PyObject_Str(PyTuple_GET_ITEM(((PyBaseExceptionObject *)self)->args, 0));
}

/* ("payload", "lines", 0) as "payload.lines.0". */
static PyObject *place_text(PyObject *loc)
{
    PyObject *dot = PyUnicode_FromString(".");
    PyObject *names = PyList_New(0);
    PyObject *text = NULL;
    int err = dot && names ? 0 : -1;
    for (Py_ssize_t i = 0; !err && i < PyTuple_GET_SIZE(loc); i++) {
        PyObject *name = PyObject_Str(PyTuple_GET_ITEM(loc, i));
        err = name ? PyList_Append(names, name) : -1;
        Py_XDECREF(name);
    }
    if (!err)
        text = PyUnicode_Join(dot, names);
    Py_XDECREF(names);
    Py_XDECREF(dot);
    return text;
}

/* What was given, shortened as in pydantic's messages: the first and the last characters. */
static PyObject *input_text(PyObject *input)
{
    enum { SHOWN = 50, HALF = SHOWN / 2 };
    PyObject *whole = PyObject_Repr(input);
    if (!whole) {
        PyErr_Clear(); /* an input may be anything, also something that cannot show itself */
        return PyUnicode_FromFormat("<%s>", Py_TYPE(input)->tp_name);
    }
    Py_ssize_t len = PyUnicode_GetLength(whole);
    if (len <= SHOWN)
        return whole;
    PyObject *head = PyUnicode_Substring(whole, 0, HALF);
    PyObject *tail = PyUnicode_Substring(whole, len - HALF, len);
    PyObject *text = head && tail ? PyUnicode_FromFormat("%U...%U", head, tail) : NULL;
    Py_XDECREF(head);
    Py_XDECREF(tail);
    Py_DECREF(whole);
    return text;
}

static PyObject *fault_text(PyObject *fault)
{
    PyObject *loc = member(fault, "loc"), *input = member(fault, "input");
    PyObject *place = PyTuple_Check(loc) ? place_text(loc) : PyUnicode_FromString("");
    PyObject *shown = place ? input_text(input) : NULL;
    PyObject *text = NULL;
    if (shown)
        text = PyUnicode_FromFormat("%U%s  %S [type=%S, input_value=%U, input_type=%s]", place,
                                    PyUnicode_GetLength(place) ? "\n" : "", member(fault, "msg"),
                                    member(fault, "type"), shown, Py_TYPE(input)->tp_name);
    Py_XDECREF(shown);
    Py_XDECREF(place);
    return text;
}

static PyObject *error_str(PyObject *self)
{
    PyObject *faults = faults_of(self);
    if (!faults)
        return ((PyTypeObject *)PyExc_ValueError)->tp_str(self);
    Py_ssize_t count = PyList_GET_SIZE(faults);
    PyObject *text =
        PyUnicode_FromFormat("%zd validation error%s for %S", count, count == 1 ? "" : "s",
                             PyTuple_GET_ITEM(((PyBaseExceptionObject *)self)->args, 0));
    for (Py_ssize_t i = 0; text && i < count; i++) {
        PyObject *one = fault_text(PyList_GET_ITEM(faults, i));
        PyObject *longer = one ? PyUnicode_FromFormat("%U\n%U", text, one) : NULL;
        Py_XDECREF(one);
        Py_SETREF(text, longer);
    }
    return text;
}

static PyObject *first_fault_words(PyObject *fault)
{
    PyObject *loc = member(fault, "loc"), *msg = member(fault, "msg");
    PyObject *place = PyTuple_Check(loc) ? place_text(loc) : PyUnicode_FromString("");
    PyObject *words = NULL;
    if (place && PyUnicode_GetLength(place) == 0)
        words = PyObject_Str(msg);
    else if (place)
        words = PyUnicode_FromFormat("%U: %S", place, msg);
    Py_XDECREF(place);
    return words;
}

PyObject *py_validation_error_words(void)
{
    PyObject *exception = py_take_exception();
    PyObject *faults = NULL, *words;
    if (PyObject_TypeCheck(exception, (PyTypeObject *)py_validation_error))
        faults = faults_of(exception);
    if (faults && PyList_GET_SIZE(faults) > 0)
        words = first_fault_words(PyList_GET_ITEM(faults, 0));
    else
        words = PyObject_Str(exception);
    Py_DECREF(exception);
    return words;
}

/* --- the class --- */

static PyMethodDef error_methods[] = {
    {"errors", (PyCFunction)(void (*)(void))error_errors, METH_VARARGS | METH_KEYWORDS,
     "errors() -> a list of dicts with type, loc, msg and input, one for each fault."},
    {"error_count", error_count, METH_NOARGS, "How many faults there are."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef error_getset[] = {
    {"title", error_title, NULL, "The name of what was to be made.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot error_slots[] = {
    {Py_tp_doc, "What is wrong with the fields of an event."},
    {Py_tp_str, error_str},
    {Py_tp_methods, error_methods},
    {Py_tp_getset, error_getset},
    {0, NULL},
};

static PyType_Spec error_spec = {
    .name = "necrostack.core.event.ValidationError",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = error_slots,
};

int py_validation_error_add(PyObject *module)
{
    PyObject *bases = PyTuple_Pack(1, PyExc_ValueError);
    if (bases)
        py_validation_error = PyType_FromSpecWithBases(&error_spec, bases);
    Py_XDECREF(bases);
    if (!py_validation_error)
        return -1;
    return PyModule_AddObjectRef(module, "ValidationError", py_validation_error);
}
