// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_event_model.h"

#include "worker/necrostack/py_event.h"
#include "worker/necrostack/py_event_class.h"
#include "worker/necrostack/py_event_json.h"
#include "worker/necrostack/py_validation_error.h"
#include "worker/necrostack/py_value.h"

/* As the stream has them. */
static const enum py_event_field dump_order[FIELDS] = {FIELD_ID, FIELD_TIMESTAMP, FIELD_TYPE,
                                                       FIELD_PAYLOAD};

/* --- dumps --- */

/* A copy, so that who changes the dump does not change the event. */
static PyObject *payload_copy(PyObject *event)
{
    PyObject *faults = NULL;
    PyObject *copy = py_value_copy(((struct py_event *)event)->payload, &faults);
    if (faults)
        py_validation_error_raise(&faults, py_event_type_name(Py_TYPE(event)));
    return copy;
}

static PyObject *dumped_value(PyObject *event, enum py_event_field field, bool as_json)
{
    struct py_event *e = (struct py_event *)event;
    if (e->type && field == FIELD_PAYLOAD)
        return payload_copy(event);
    if (e->type && field == FIELD_TIMESTAMP && as_json)
        return py_event_field_iso(&e->event);
    return py_event_value(event, field);
}

/* Is the name among those of a set, list, dict…; -1: an exception. Without a choice `otherwise`. */
static int is_chosen(PyObject *choice, PyObject *name, int otherwise)
{
    return choice == Py_None ? otherwise : PySequence_Contains(choice, name);
}

static int dump_field(PyObject *dump, PyObject *event, enum py_event_field field, bool as_json)
{
    PyObject *value = dumped_value(event, field, as_json);
    int err = value ? PyDict_SetItem(dump, py_event_field_keys[field], value) : -1;
    Py_XDECREF(value);
    return err;
}

static PyObject *dump_of(PyObject *event, bool as_json, PyObject *include, PyObject *exclude)
{
    PyObject *dump = PyDict_New();
    for (int i = 0; dump && i < FIELDS; i++) {
        PyObject *name = py_event_field_keys[dump_order[i]];
        int in = is_chosen(include, name, 1), out = is_chosen(exclude, name, 0);
        int err = in < 0 || out < 0 ? -1 : 0;
        if (!err && in && !out)
            err = dump_field(dump, event, dump_order[i], as_json);
        if (err)
            Py_CLEAR(dump);
    }
    return dump;
}

static PyObject *model_dump(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"mode", "include", "exclude", NULL};
    const char *mode = "python";
    PyObject *include = Py_None, *exclude = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$sOO:model_dump", names, &mode, &include,
                                     &exclude))
        return NULL;
    bool as_json = strcmp(mode, "json") == 0;
    if (!as_json && strcmp(mode, "python") != 0)
        return PyErr_Format(PyExc_ValueError, "mode should be 'python' or 'json', not '%s'", mode);
    return dump_of(self, as_json, include, exclude);
}

static PyObject *dict(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"include", "exclude", NULL};
    PyObject *include = Py_None, *exclude = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OO:dict", names, &include, &exclude))
        return NULL;
    return dump_of(self, false, include, exclude);
}

/* Text as a person or another program wants it: by the json module. */
static PyObject *formatted(PyObject *self, PyObject *include, PyObject *exclude, PyObject *indent)
{
    PyObject *dump = dump_of(self, true, include, exclude);
    PyObject *json = dump ? PyImport_ImportModule("json") : NULL;
    PyObject *dumps = json ? PyObject_GetAttrString(json, "dumps") : NULL;
    PyObject *args = dumps ? PyTuple_Pack(1, dump) : NULL;
    PyObject *options = Py_BuildValue("{sOsO}", "indent", indent, "ensure_ascii", Py_False);
    if (options && indent == Py_None) {
        PyObject *separators = Py_BuildValue("(ss)", ",", ":");
        if (!separators || PyDict_SetItemString(options, "separators", separators) < 0)
            Py_CLEAR(options);
        Py_XDECREF(separators);
    }
    PyObject *text = args && options ? PyObject_Call(dumps, args, options) : NULL;
    Py_XDECREF(options);
    Py_XDECREF(args);
    Py_XDECREF(dumps);
    Py_XDECREF(json);
    Py_XDECREF(dump);
    return text;
}

static PyObject *model_dump_json(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"indent", "include", "exclude", NULL};
    PyObject *indent = Py_None, *include = Py_None, *exclude = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOO:model_dump_json", names, &indent,
                                     &include, &exclude))
        return NULL;
    if (indent != Py_None || include != Py_None || exclude != Py_None)
        return formatted(self, include, exclude, indent);
    if (!((struct py_event *)self)->type)
        return py_event_value(self, FIELD_TYPE);
    return py_event_json_text(self);
}

PyObject *py_event_model_iter(PyObject *event)
{
    PyObject *dump = dump_of(event, false, Py_None, Py_None);
    PyObject *items = dump ? PyDict_Items(dump) : NULL;
    PyObject *iter = items ? PyObject_GetIter(items) : NULL;
    Py_XDECREF(items);
    Py_XDECREF(dump);
    return iter;
}

/* --- making from a dict, from JSON, from another event --- */

static bool has_own_init(PyTypeObject *type)
{
    return type->tp_init != py_event_type.tp_init;
}

static PyObject *event_of_dict(PyTypeObject *type, PyObject *dict)
{
    struct py_event_values values = {0};
    PyObject *faults = NULL;
    if (has_own_init(type)) {
        PyObject *none = PyTuple_New(0);
        PyObject *event = none ? PyObject_Call((PyObject *)type, none, dict) : NULL;
        Py_XDECREF(none);
        return event;
    }
    if (py_event_values_of(&values, dict, &faults) == 0)
        return py_event_make(type, &values, faults);
    Py_XDECREF(faults);
    return NULL;
}

static PyObject *model_validate(PyObject *class, PyObject *value)
{
    PyTypeObject *type = (PyTypeObject *)class;
    if (PyObject_TypeCheck(value, type))
        return Py_NewRef(value);
    if (PyDict_Check(value))
        return event_of_dict(type, value);
    PyObject *faults = NULL;
    const char *name = py_event_type_name(type);
    py_validation_error_note(
        &faults, "model_type", PyTuple_New(0),
        PyUnicode_FromFormat("Input should be a dictionary or an instance of %s", name), value);
    if (faults)
        py_validation_error_raise(&faults, name);
    return NULL;
}

static PyObject *model_validate_json(PyObject *class, PyObject *text)
{
    PyObject *value = py_event_json_decode(text, py_event_type_name((PyTypeObject *)class));
    PyObject *event = value ? model_validate(class, value) : NULL;
    Py_XDECREF(value);
    return event;
}

/* What a subclass has added, as object.__getstate__() has it: None, a dict, or a pair of a dict or
 * None and the dict of its slots. */
static PyObject *own_attributes(PyObject *event)
{
#if PY_VERSION_HEX >= 0x030b0000
    return PyObject_CallMethod(event, "__getstate__", NULL);
#else
    PyObject *dict = PyObject_GetAttrString(event, "__dict__");
    if (dict || !PyErr_ExceptionMatches(PyExc_AttributeError))
        return dict;
    PyErr_Clear();
    return Py_NewRef(Py_None);
#endif
}

static int take_slots(PyObject *event, PyObject *slots)
{
    Py_ssize_t position = 0;
    PyObject *name, *value;
    while (PyDict_Next(slots, &position, &name, &value))
        if (PyObject_SetAttr(event, name, value) < 0)
            return -1;
    return 0;
}

static int take_attributes(PyObject *event, PyObject *attributes)
{
    PyObject *slots = NULL;
    if (PyTuple_Check(attributes) &&
        !PyArg_ParseTuple(attributes, "OO!:__setstate__", &attributes, &PyDict_Type, &slots))
        return -1;
    if (slots && take_slots(event, slots) < 0)
        return -1;
    if (attributes == Py_None)
        return 0;
    PyObject *dict = PyObject_GetAttrString(event, "__dict__");
    int err = dict ? PyDict_Update(dict, attributes) : -1;
    Py_XDECREF(dict);
    return err;
}

static int copy_attributes(PyObject *from, PyObject *to)
{
    PyObject *attributes = own_attributes(from);
    int err = attributes ? take_attributes(to, attributes) : -1;
    Py_XDECREF(attributes);
    return err;
}

/* The fields of the event, but for those that the update has. */
static PyObject *copied(PyObject *self, PyObject *update)
{
    struct py_event_values values = {0};
    PyObject *own[FIELDS] = {0}, *faults = NULL, *copy = NULL;
    int err = update ? py_event_values_of(&values, update, &faults) : 0;
    for (int i = 0; !err && i < FIELDS; i++) {
        if (values.given[i])
            continue;
        values.given[i] = own[i] = py_event_value(self, i);
        err = own[i] ? 0 : -1;
    }
    if (!err)
        copy = py_event_make(Py_TYPE(self), &values, faults);
    else
        Py_XDECREF(faults);
    for (int i = 0; i < FIELDS; i++)
        Py_XDECREF(own[i]);
    if (copy && copy_attributes(self, copy) < 0)
        Py_CLEAR(copy);
    return copy;
}

static PyObject *model_copy(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"update", "deep", NULL};
    PyObject *update = Py_None;
    int deep = 0; /* payloads are always copied */
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$Op:model_copy", names, &update, &deep))
        return NULL;
    if (update != Py_None && !PyDict_Check(update))
        return PyErr_Format(PyExc_TypeError, "update should be a dict, not %.100s",
                            Py_TYPE(update)->tp_name);
    return copied(self, update == Py_None ? NULL : update);
}

/* --- pickles and copies --- */

/* __reduce__: made by __newobj__, which copyreg calls with every protocol, then __setstate__. */
static PyObject *reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *copyreg = PyImport_ImportModule("copyreg");
    PyObject *make = copyreg ? PyObject_GetAttrString(copyreg, "__newobj__") : NULL;
    PyObject *attributes = make ? own_attributes(self) : NULL;
    PyObject *fields = attributes ? dump_of(self, false, Py_None, Py_None) : NULL;
    PyObject *reduced = NULL;
    if (fields)
        reduced = Py_BuildValue("O(O)(OO)", make, Py_TYPE(self), fields, attributes);
    Py_XDECREF(fields);
    Py_XDECREF(attributes);
    Py_XDECREF(make);
    Py_XDECREF(copyreg);
    return reduced;
}

static PyObject *set_state(PyObject *self, PyObject *state)
{
    struct py_event_values values = {0};
    PyObject *fields, *attributes, *faults = NULL;
    if (!PyTuple_Check(state) ||
        !PyArg_ParseTuple(state, "O!O:__setstate__", &PyDict_Type, &fields, &attributes))
        return PyErr_Format(PyExc_TypeError, "this is no state of an event");
    if (py_event_values_of(&values, fields, &faults) < 0) {
        Py_XDECREF(faults);
        return NULL;
    }
    if (py_event_fill(self, &values, faults) < 0 || take_attributes(self, attributes) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* --- the methods --- */

#define KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

PyMethodDef py_event_model_methods[] = {
    {"model_dump", KEYWORDS(model_dump), METH_VARARGS | METH_KEYWORDS,
     "model_dump($self, /, *, mode='python', include=None, exclude=None)\n--\n\n"
     "The fields as a dict; with mode='json' the timestamp as text."},
    {"model_dump_json", KEYWORDS(model_dump_json), METH_VARARGS | METH_KEYWORDS,
     "model_dump_json($self, /, *, indent=None, include=None, exclude=None)\n--\n\n"
     "The event as JSON text."},
    {"model_validate", model_validate, METH_O | METH_CLASS,
     "model_validate($type, obj, /)\n--\n\nAn event of a dict; an event is returned as it is."},
    {"model_validate_json", model_validate_json, METH_O | METH_CLASS,
     "model_validate_json($type, text, /)\n--\n\nAn event of JSON in a str, bytes or bytearray."},
    {"model_copy", KEYWORDS(model_copy), METH_VARARGS | METH_KEYWORDS,
     "model_copy($self, /, *, update=None, deep=False)\n--\n\n"
     "A copy; what the update changes is checked."},
    {"dict", KEYWORDS(dict), METH_VARARGS | METH_KEYWORDS,
     "dict($self, /, *, include=None, exclude=None)\n--\n\nThe older name of model_dump()."},
    {"json", KEYWORDS(model_dump_json), METH_VARARGS | METH_KEYWORDS,
     "json($self, /, *, indent=None, include=None, exclude=None)\n--\n\n"
     "The older name of model_dump_json()."},
    {"copy", KEYWORDS(model_copy), METH_VARARGS | METH_KEYWORDS,
     "copy($self, /, *, update=None, deep=False)\n--\n\nThe older name of model_copy()."},
    {"__reduce__", reduce, METH_NOARGS, NULL},
    {"__setstate__", set_state, METH_O, NULL},
    {"__init_subclass__", KEYWORDS(py_event_class_init_subclass),
     METH_VARARGS | METH_KEYWORDS | METH_CLASS, NULL},
    {"__get_validators__", py_event_class_get_validators, METH_NOARGS | METH_CLASS, NULL},
    {"__modify_schema__", py_event_class_modify_schema, METH_O | METH_CLASS,
     "__modify_schema__($type, schema, /)\n--\n\nFor pydantic 1, which asks for this signature."},
    {"__get_pydantic_core_schema__", py_event_class_get_core_schema, METH_VARARGS | METH_CLASS,
     NULL},
    {"__get_pydantic_json_schema__", py_event_class_get_json_schema, METH_VARARGS | METH_CLASS,
     NULL},
    {NULL, NULL, 0, NULL},
};
