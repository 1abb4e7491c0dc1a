// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_event.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/clock.h"
#include "worker/necrostack/py_event_class.h"
#include "worker/necrostack/py_event_json.h"
#include "worker/necrostack/py_event_model.h"
#include "worker/necrostack/py_spare_dict.h"
#include "worker/necrostack/py_validation_error.h"
#include "worker/necrostack/py_value.h"

static struct py_event *as_event(PyObject *object)
{
    return (struct py_event *)object;
}

const char *py_event_type_name(const PyTypeObject *type)
{
    const char *dot = strrchr(type->tp_name, '.');
    return dot ? dot + 1 : type->tp_name;
}

/* --- as the library sees it --- */

static struct py_event *py_event_around(const struct event *event)
{
    return (struct py_event *)((char *)event - offsetof(struct py_event, event));
}

static void retain(struct event *event)
{
    Py_INCREF((PyObject *)py_event_around(event));
}

static void release(struct event *event)
{
    Py_DECREF((PyObject *)py_event_around(event));
}

/* The text was encoded once when the event was made, so this does not fail. */
static struct span type_span(const struct event *event)
{
    Py_ssize_t len = 0;
    const char *text = PyUnicode_AsUTF8AndSize(py_event_around(event)->type, &len);
    return (struct span){text, (size_t)len};
}

static int payload_span(struct event *event, struct span *json)
{
    struct py_event *e = py_event_around(event);
    int err = py_event_json_payload((PyObject *)e, json);
    if (err)
        PyErr_Clear(); /* py_event_json_payload() tells whoever may raise it */
    return err;
}

int py_event_ready(PyObject *event)
{
    struct span json;
    return py_event_json_payload(event, &json) ? -1 : 0;
}

static const struct event_ops ops = {
    .retain = retain,
    .release = release,
    .type = type_span,
    .payload = payload_span,
};

/* --- making --- */

/*
 * Values are gathered apart and put into the event together at the end: a payload or a zone of
 * somebody's own class may run code that looks at the event meanwhile.
 */
struct filling {
    PyTypeObject *type;
    PyObject **faults;
    PyObject *given[FIELDS]; /* references: the dict they come from may be emptied meanwhile */
    PyObject *event_type, *payload;
    uint8_t id[EVENT_ID_SIZE];
    int64_t time_us;
};

/* What was given, or a default that a subclass declares; NULL: none, or an exception is set. */
static PyObject *given_or_declared(struct filling *f, enum py_event_field field)
{
    if (!f->given[field] && f->type != &py_event_type)
        f->given[field] = py_event_class_default((PyObject *)f->type, py_event_field_keys[field]);
    return f->given[field];
}

static int fill_type(struct filling *f)
{
    PyObject *given = given_or_declared(f, FIELD_TYPE);
    if (given)
        return py_event_field_type(given, &f->event_type, f->faults);
    if (PyErr_Occurred())
        return -1;
    return py_validation_error_field(f->faults, "missing", "event_type", "Field required", NULL)
               ? -1
               : 1;
}

static int fill_payload(struct filling *f)
{
    PyObject *given = given_or_declared(f, FIELD_PAYLOAD);
    if (!given && PyErr_Occurred())
        return -1;
    f->payload = given ? py_value_copy(given, f->faults) : PyDict_New();
    return f->payload ? 0 : PyErr_Occurred() ? -1 : 1;
}

static int fill_id(struct filling *f)
{
    if (f->given[FIELD_ID])
        return py_event_field_id(f->given[FIELD_ID], f->id, f->faults);
    event_id_make(f->id);
    return 0;
}

static int fill_timestamp(struct filling *f)
{
    if (f->given[FIELD_TIMESTAMP])
        return py_event_field_timestamp(f->given[FIELD_TIMESTAMP], &f->time_us, f->faults);
    f->time_us = (int64_t)clock_wall_us();
    return 0;
}

/* Every field is looked at, so that one error tells of all faults. */
static int fill_fields(struct filling *f)
{
    static int (*const fill[FIELDS])(struct filling *) = {
        [FIELD_TYPE] = fill_type,
        [FIELD_PAYLOAD] = fill_payload,
        [FIELD_ID] = fill_id,
        [FIELD_TIMESTAMP] = fill_timestamp,
    };
    for (int i = 0; i < FIELDS; i++)
        if (fill[i](f) < 0)
            return -1;
    return *f->faults ? 1 : 0;
}

/* Takes over what was gathered. 0, or -1 with TypeError. */
static int put_values(struct py_event *e, struct filling *f)
{
    if (e->type) {
        PyErr_SetString(PyExc_TypeError, "an event does not change: it was made already");
        return -1;
    }
    memcpy(e->event.id, f->id, EVENT_ID_SIZE);
    e->event.time_us = f->time_us;
    e->payload = f->payload;
    e->type = f->event_type;
    f->payload = f->event_type = NULL;
    return 0;
}

int py_event_fill(PyObject *event, const struct py_event_values *values, PyObject *faults)
{
    struct filling f = {.type = Py_TYPE(event), .faults = &faults};
    for (int i = 0; i < FIELDS; i++)
        f.given[i] = Py_XNewRef(values->given[i]);
    int result = fill_fields(&f);
    if (result > 0)
        py_validation_error_raise(&faults, py_event_type_name(f.type));
    else if (result == 0)
        result = put_values(as_event(event), &f);
    for (int i = 0; i < FIELDS; i++)
        Py_XDECREF(f.given[i]);
    Py_XDECREF(f.event_type);
    Py_XDECREF(f.payload);
    Py_XDECREF(faults);
    return result ? -1 : 0;
}

enum { FEW = 64 /* fewer than Python keeps dicts for the next ones itself */ };

static size_t alive;

/* Event itself is no matter of the cycle collector's, which makes that simple. */
static struct py_event *plain_event(void)
{
    struct py_event *e = PyObject_New(struct py_event, &py_event_type);
    if (e) {
        e->event = (struct event){0};
        e->type = e->payload = NULL;
        e->json = NULL;
        e->json_len = 0;
    }
    return e;
}

static PyObject *empty_event(PyTypeObject *type)
{
    struct py_event *e =
        type == &py_event_type ? plain_event() : (struct py_event *)type->tp_alloc(type, 0);
    if (e) {
        e->event.ops = &ops;
        alive++;
    }
    return (PyObject *)e;
}

PyObject *py_event_make(PyTypeObject *type, const struct py_event_values *values, PyObject *faults)
{
    PyObject *self = empty_event(type);
    if (!self) {
        Py_XDECREF(faults);
        return NULL;
    }
    if (py_event_fill(self, values, faults) < 0)
        Py_CLEAR(self);
    return self;
}

PyObject *py_event_wrap(struct event *event)
{
    if (event->ops == &ops)
        return Py_NewRef((PyObject *)py_event_around(event));
    struct span json, type = event_type(event);
    int err = event_payload(event, &json);
    if (err) {
        errno = -err;
        return err == -ENOMEM ? PyErr_NoMemory() : PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *self = empty_event(&py_event_type);
    if (!self)
        return NULL;
    struct py_event *e = as_event(self);
    memcpy(e->event.id, event->id, EVENT_ID_SIZE);
    e->event.time_us = event->time_us;
    e->payload = py_event_json_read_payload(json);
    e->type = e->payload ? PyUnicode_DecodeUTF8(type.data, (Py_ssize_t)type.len, NULL) : NULL;
    if (!e->type || !PyUnicode_AsUTF8(e->type))
        Py_CLEAR(self);
    return self;
}

/* --- arguments --- */

static int take_named(struct py_event_values *values, PyObject *name, PyObject *value,
                      PyObject **faults)
{
    enum py_event_field field = py_event_field_of(name);
    if (field == FIELDS)
        return py_validation_error_note(faults, "extra_forbidden", PyTuple_Pack(1, name),
                                        PyUnicode_FromString("Extra inputs are not permitted"),
                                        value);
    if (values->given[field]) {
        PyErr_Format(PyExc_TypeError, "Event() got multiple values for argument '%U'", name);
        return -1;
    }
    values->given[field] = value;
    return 0;
}

int py_event_values_of(struct py_event_values *values, PyObject *dict, PyObject **faults)
{
    Py_ssize_t position = 0;
    PyObject *name, *value;
    while (PyDict_Next(dict, &position, &name, &value))
        if (take_named(values, name, value, faults) < 0)
            return -1;
    return 0;
}

static int take_positional(struct py_event_values *values, PyObject *const *args, Py_ssize_t count)
{
    if (count > FIELDS) {
        PyErr_Format(PyExc_TypeError, "Event() takes at most %d arguments (%zd given)", FIELDS,
                     count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        values->given[i] = args[i];
    return 0;
}

/* Event(...): no tuple, no dict. Subclasses go through new and init. */
static PyObject *event_vectorcall(PyObject *type, PyObject *const *args, size_t flags,
                                  PyObject *names)
{
    struct py_event_values values = {0};
    Py_ssize_t count = PyVectorcall_NARGS(flags);
    Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    PyObject *faults = NULL;
    int err = take_positional(&values, args, count);
    for (Py_ssize_t i = 0; !err && i < named; i++)
        err = take_named(&values, PyTuple_GET_ITEM(names, i), args[count + i], &faults);
    if (!err)
        return py_event_make((PyTypeObject *)type, &values, faults);
    Py_XDECREF(faults);
    return NULL;
}

/* Takes any arguments: a subclass may have its own in __init__. */
static PyObject *event_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    return empty_event(type);
}

static int event_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct py_event_values values = {0};
    PyObject *faults = NULL;
    int err = take_positional(&values, &PyTuple_GET_ITEM(args, 0), PyTuple_GET_SIZE(args));
    if (!err && kwargs)
        err = py_event_values_of(&values, kwargs, &faults);
    if (!err)
        return py_event_fill(self, &values, faults);
    Py_XDECREF(faults);
    return -1;
}

static void event_dealloc(PyObject *self)
{
    struct py_event *e = as_event(self);
    Py_XDECREF(e->type);
    if (--alive < FEW)
        Py_XDECREF(e->payload);
    else if (e->payload)
        py_spare_dict_put(e->payload);
    free(e->json);
    Py_TYPE(self)->tp_free(self);
}

/* --- reading --- */

PyObject *py_event_value(PyObject *event, enum py_event_field field)
{
    struct py_event *e = as_event(event);
    if (!e->type)
        return PyErr_Format(PyExc_AttributeError,
                            "'%.100s' has no '%s' before Event.__init__() was called",
                            Py_TYPE(event)->tp_name, py_event_field_names[field]);
    switch (field) {
    case FIELD_TYPE:
        return Py_NewRef(e->type);
    case FIELD_PAYLOAD:
        return Py_NewRef(e->payload);
    case FIELD_ID:
        return py_event_field_id_text(&e->event);
    default:
        return py_event_field_datetime(&e->event);
    }
}

static PyObject *event_get(PyObject *self, void *field)
{
    return py_event_value(self, (enum py_event_field)(intptr_t)field);
}

static PyGetSetDef event_getset[] = {
    {"id", event_get, NULL, "A UUID of version 4 in lower case.", (void *)FIELD_ID},
    {"timestamp", event_get, NULL, "When the event was made: a datetime in UTC.",
     (void *)FIELD_TIMESTAMP},
    {"event_type", event_get, NULL, "What happened.", (void *)FIELD_TYPE},
    {"payload", event_get, NULL, "A dict of JSON values.", (void *)FIELD_PAYLOAD},
    {NULL, NULL, NULL, NULL, NULL},
};

/* An event is frozen; a subclass may have attributes of its own. */
static int event_setattr(PyObject *self, PyObject *name, PyObject *value)
{
    PyObject *faults = NULL;
    if (!Py_IS_TYPE(self, &py_event_type) && py_event_field_of(name) == FIELDS)
        return PyObject_GenericSetAttr(self, name, value);
    if (py_validation_error_note(&faults, "frozen_instance", PyTuple_Pack(1, name),
                                 PyUnicode_FromString("Instance is frozen"), value) == 0)
        py_validation_error_raise(&faults, py_event_type_name(Py_TYPE(self)));
    Py_XDECREF(faults);
    return -1;
}

/* --- comparing and showing --- */

static PyObject *event_compare(PyObject *one, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !PyObject_TypeCheck(one, &py_event_type) ||
        Py_TYPE(one) != Py_TYPE(other))
        Py_RETURN_NOTIMPLEMENTED;
    struct py_event *a = as_event(one), *b = as_event(other);
    int equal = a == b;
    if (!equal && a->type && b->type && a->event.time_us == b->event.time_us &&
        memcmp(a->event.id, b->event.id, EVENT_ID_SIZE) == 0 &&
        PyUnicode_Compare(a->type, b->type) == 0)
        equal = PyObject_RichCompareBool(a->payload, b->payload, Py_EQ);
    return equal < 0 ? NULL : PyBool_FromLong(equal == (op == Py_EQ));
}

static Py_hash_t event_hash(PyObject *self)
{
    PyObject *id = py_event_value(self, FIELD_ID);
    Py_hash_t hash = id ? PyObject_Hash(id) : -1;
    Py_XDECREF(id);
    return hash;
}

static PyObject *event_repr(PyObject *self)
{
    struct py_event *e = as_event(self);
    const char *name = py_event_type_name(Py_TYPE(self));
    if (!e->type)
        return PyUnicode_FromFormat("<%s without values>", name);
    PyObject *id = py_event_field_id_text(&e->event);
    PyObject *timestamp = py_event_field_datetime(&e->event);
    PyObject *text = NULL;
    if (id && timestamp)
        text = PyUnicode_FromFormat("%s(id=%R, timestamp=%R, event_type=%R, payload=%R)", name, id,
                                    timestamp, e->type, e->payload);
    Py_XDECREF(timestamp);
    Py_XDECREF(id);
    return text;
}

/* --- the type --- */

PyTypeObject py_event_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "necrostack.core.event.Event",
    .tp_doc = "Event(event_type, payload={}, id=<a new UUID>, timestamp=<now>)\n\n"
              "Something that happened. It does not change.",
    .tp_basicsize = sizeof(struct py_event),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = event_tp_new,
    .tp_init = event_init,
    .tp_vectorcall = event_vectorcall,
    .tp_dealloc = event_dealloc,
    .tp_getset = event_getset,
    .tp_methods = py_event_model_methods,
    .tp_iter = py_event_model_iter,
    .tp_setattro = event_setattr,
    .tp_richcompare = event_compare,
    .tp_hash = event_hash,
    .tp_repr = event_repr,
};

static int add_match_args(void)
{
    PyObject *names = PyTuple_New(FIELDS);
    for (int i = 0; names && i < FIELDS; i++)
        PyTuple_SET_ITEM(names, i, Py_NewRef(py_event_field_keys[i]));
    int err = names ? PyDict_SetItemString(py_event_type.tp_dict, "__match_args__", names) : -1;
    Py_XDECREF(names);
    return err;
}

int py_event_add(PyObject *module)
{
    if (py_validation_error_add(module) || py_event_field_init() || py_event_json_init() ||
        PyType_Ready(&py_event_type) || add_match_args())
        return -1;
    if (PyModule_AddIntConstant(module, "MAX_PAYLOAD_SIZE", EVENT_PAYLOAD_MAX))
        return -1;
    return PyModule_AddObjectRef(module, "Event", (PyObject *)&py_event_type);
}
