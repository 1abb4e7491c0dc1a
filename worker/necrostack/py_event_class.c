// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_event_class.h"

#include "worker/necrostack/py_event.h"

/* --- subclasses --- */

static const char defaults_name[] = "__event_defaults__";

PyObject *py_event_class_default(PyObject *type, PyObject *name)
{
    PyObject *defaults = PyObject_GetAttrString(type, defaults_name);
    if (!defaults) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError))
            PyErr_Clear();
        return NULL;
    }
    PyObject *value = PyDict_Check(defaults) ? PyDict_GetItemWithError(defaults, name) : NULL;
    Py_XINCREF(value);
    Py_DECREF(defaults);
    return value;
}

/* A class attribute with the name of a field would hide it. 1: it is a plain value to be the
 * default; a property or the like stays what it is. */
static int declares(PyObject *class, PyObject *name, PyObject **value)
{
    *value = PyDict_GetItemWithError(((PyTypeObject *)class)->tp_dict, name);
    if (!*value)
        return PyErr_Occurred() ? -1 : 0;
    return !Py_TYPE(*value)->tp_descr_get;
}

/* The other bases have theirs, such as Generic. */
static PyObject *next_init_subclass(PyObject *class, PyObject *args, PyObject *kwargs)
{
    PyObject *others =
        PyObject_CallFunction((PyObject *)&PySuper_Type, "OO", &py_event_type, class);
    PyObject *init = others ? PyObject_GetAttrString(others, "__init_subclass__") : NULL;
    PyObject *result = init ? PyObject_Call(init, args, kwargs) : NULL;
    Py_XDECREF(init);
    Py_XDECREF(others);
    return result;
}

/* `class Paid(Event): event_type: str = "PAID"`: the value becomes the default of the field. */
PyObject *py_event_class_init_subclass(PyObject *class, PyObject *args, PyObject *kwargs)
{
    PyObject *inherited = PyObject_GetAttrString(class, defaults_name);
    if (!inherited)
        PyErr_Clear();
    PyObject *defaults = inherited ? PyDict_Copy(inherited) : PyDict_New();
    Py_XDECREF(inherited);
    int err = defaults ? 0 : -1;
    for (int i = 0; !err && i < FIELDS; i++) {
        PyObject *name = py_event_field_keys[i], *value;
        int found = declares(class, name, &value);
        if (found > 0)
            err = PyDict_SetItem(defaults, name, value) || PyObject_DelAttr(class, name) ? -1 : 0;
        else
            err = found;
    }
    if (!err)
        err = PyObject_SetAttrString(class, defaults_name, defaults);
    Py_XDECREF(defaults);
    return err ? NULL : next_init_subclass(class, args, kwargs);
}

/* --- pydantic --- */

/* What pydantic asks for is written in Python, and only then read. */
static PyObject *ask_hooks(const char *name, PyObject *argument)
{
    PyObject *hooks = PyImport_ImportModule("necrostack.core._pydantic");
    PyObject *answer = hooks ? PyObject_CallMethod(hooks, name, "O", argument) : NULL;
    Py_XDECREF(hooks);
    return answer;
}

PyObject *py_event_class_get_validators(PyObject *class, PyObject *unused)
{
    (void)unused;
    return ask_hooks("validators", class);
}

PyObject *py_event_class_modify_schema(PyObject *class, PyObject *schema)
{
    (void)class;
    return ask_hooks("modify_schema", schema);
}

PyObject *py_event_class_get_core_schema(PyObject *class, PyObject *args)
{
    (void)args; /* the source type and a handler for other schemas: neither is needed */
    return ask_hooks("core_schema", class);
}

PyObject *py_event_class_get_json_schema(PyObject *class, PyObject *args)
{
    (void)args;
    return ask_hooks("json_schema", class);
}
