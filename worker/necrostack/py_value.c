// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_value.h"

#include <math.h>

#include "common/events/event.h"
#include "worker/necrostack/py_spare_dict.h"
#include "worker/necrostack/py_validation_error.h"
#include "worker/necrostack/py_value_write.h"

/*
 * Sizes are bounded while walking: `least` from below, which ends the walk of a value that refers
 * to the same lists over and over, `most` from above. Only between the two the JSON is written to
 * know.
 */
struct walk {
    PyObject **faults;
    size_t least, most;
    bool own; /* containers are checked in place */
};

/* Where we are: a chain from the inside out, one link a container. */
struct place {
    const struct place *outer;
    PyObject *container; /* as given, not the copy */
    PyObject *key;       /* of the member being looked at; NULL: index */
    Py_ssize_t index;
    int depth;
};

static PyObject *checked(struct walk *w, const struct place *at, PyObject *value);

/* --- faults --- */

static PyObject *loc_of(const struct place *at)
{
    Py_ssize_t length = 1;
    for (const struct place *p = at; p; p = p->outer)
        length++;
    PyObject *loc = PyTuple_New(length);
    for (const struct place *p = at; loc && p; p = p->outer) {
        PyObject *name = p->key ? Py_NewRef(p->key) : PyLong_FromSsize_t(p->index);
        if (!name)
            Py_CLEAR(loc);
        else
            PyTuple_SET_ITEM(loc, --length, name);
    }
    PyObject *field = loc ? PyUnicode_FromString("payload") : NULL;
    if (field)
        PyTuple_SET_ITEM(loc, 0, field);
    else
        Py_CLEAR(loc);
    return loc;
}

/* Always NULL. */
static PyObject *fault(struct walk *w, const struct place *at, const char *type, const char *msg,
                       PyObject *input)
{
    py_validation_error_note(w->faults, type, loc_of(at), PyUnicode_FromString(msg), input);
    return NULL;
}

static PyObject *too_large(struct walk *w, PyObject *input)
{
    py_validation_error_note(
        w->faults, "too_long", loc_of(NULL),
        PyUnicode_FromFormat("Payload should be at most %d bytes of JSON", EVENT_PAYLOAD_MAX),
        input);
    return NULL;
}

/* The outermost container is followed by no comma. */
static bool is_large(const struct walk *w)
{
    return w->least > EVENT_PAYLOAD_MAX + 1;
}

/* --- scalars --- */

/* Strings of Python's old making get their final form. */
static bool is_ready(PyObject *text)
{
#if PY_VERSION_HEX < 0x030c0000
    return PyUnicode_READY(text) == 0;
#else
    (void)text;
    return true;
#endif
}

/* True when no UTF-8 can hold it. */
static bool has_surrogate(PyObject *text)
{
    Py_ssize_t len = PyUnicode_GET_LENGTH(text);
    int kind = (int)PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    if (kind == PyUnicode_1BYTE_KIND)
        return false;
    for (Py_ssize_t i = 0; i < len; i++)
        if (Py_UNICODE_IS_SURROGATE(PyUnicode_READ(kind, data, i)))
            return true;
    return false;
}

/* A character takes six bytes at most: "\u001f". */
static void count_text(struct walk *w, PyObject *text)
{
    size_t length = (size_t)PyUnicode_GET_LENGTH(text);
    w->least += length + 3; /* quotes, and a comma or what else follows */
    w->most += 6 * length + 3;
}

static PyObject *checked_text(struct walk *w, const struct place *at, PyObject *text)
{
    if (!is_ready(text))
        return NULL;
    if (has_surrogate(text))
        return fault(w, at, "string_unicode", "Text should have no lone surrogates", text);
    count_text(w, text);
    return PyUnicode_FromObject(text);
}

/* An integer of many digits: Python prints it, or says that it is too long to be printed. */
static PyObject *checked_huge(struct walk *w, const struct place *at, PyObject *number)
{
    PyObject *bits = PyObject_CallMethod(number, "bit_length", NULL);
    double count = bits ? PyLong_AsDouble(bits) : -1;
    Py_XDECREF(bits);
    if (!bits)
        return NULL;
    if (count > EVENT_PAYLOAD_MAX * 3.33)
        return too_large(w, number);
    PyObject *digits = PyLong_Type.tp_repr(number);
    if (!digits && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        return fault(w, at, "int_parsing_size", "Integer has more digits than Python prints", NULL);
    }
    if (!digits)
        return NULL;
    w->least += (size_t)PyUnicode_GET_LENGTH(digits);
    w->most += (size_t)PyUnicode_GET_LENGTH(digits) + 1;
    Py_DECREF(digits);
    return Py_NewRef(number);
}

/* Of a subclass the plain integer: +x, as int itself understands it. */
static PyObject *checked_int(struct walk *w, const struct place *at, PyObject *number)
{
    int overflow;
    PyObject *plain = PyLong_Type.tp_as_number->nb_positive(number);
    if (!plain)
        return NULL;
    long value = PyLong_AsLongAndOverflow(plain, &overflow);
    if (value == -1 && !overflow && PyErr_Occurred()) {
        Py_DECREF(plain);
        return NULL;
    }
    if (!overflow) {
        w->least += 2;
        w->most += 21;
        return plain;
    }
    PyObject *good = checked_huge(w, at, plain);
    Py_DECREF(plain);
    return good;
}

static PyObject *checked_float(struct walk *w, const struct place *at, PyObject *number)
{
    double value = PyFloat_AS_DOUBLE(number);
    if (!isfinite(value))
        return fault(w, at, "finite_number", "Number should be finite", number);
    w->least += 4;
    w->most += 26;
    return PyFloat_CheckExact(number) ? Py_NewRef(number) : PyFloat_FromDouble(value);
}

/* --- containers --- */

/* False with a fault noted. */
static bool may_enter(struct walk *w, const struct place *outer, PyObject *container)
{
    if (outer && outer->depth >= EVENT_DEPTH_MAX) {
        while (outer->outer) /* the whole way down would fill a page */
            outer = outer->outer;
        fault(w, outer, "too_deep", "Payload should not be nested deeper than 255 containers",
              NULL);
        return false;
    }
    for (const struct place *p = outer; p; p = p->outer) {
        if (p->container != container)
            continue;
        fault(w, outer, "recursion_loop", "Payload should not contain itself", NULL);
        return false;
    }
    w->least += 2; /* the brackets; one comma less than members, but one after it */
    w->most += 3;
    return true;
}

/* A value that does not change and needs no conversion; the commonest ones, counted. */
static inline bool is_plain(struct walk *w, PyObject *value)
{
    if (PyUnicode_CheckExact(value) && PyUnicode_IS_COMPACT_ASCII(value)) {
        count_text(w, value);
        return true;
    }
    if (value == Py_None || PyBool_Check(value)) {
        w->least += 5;
        w->most += 6;
        return true;
    }
    return false;
}

/* Keys that are not exactly str: the dict is made anew with such as are. */
static PyObject *with_plain_keys(struct walk *w, struct place *at, PyObject *dict)
{
    Py_ssize_t position = 0;
    PyObject *key, *value, *plain = PyDict_New();
    while (plain && PyDict_Next(dict, &position, &key, &value)) {
        PyObject *text = NULL;
        if (PyUnicode_Check(key))
            text = PyUnicode_FromObject(key);
        else
            fault(w, at->outer, "string_type", "Keys should be strings", key);
        if (!text || PyDict_SetItem(plain, text, value) < 0)
            Py_CLEAR(plain);
        Py_XDECREF(text);
    }
    return plain;
}

static bool has_foreign_keys(PyObject *dict)
{
    Py_ssize_t position = 0;
    PyObject *key;
    while (PyDict_Next(dict, &position, &key, NULL))
        if (!PyUnicode_CheckExact(key))
            return true;
    return false;
}

static bool is_good_key(struct walk *w, const struct place *at, PyObject *key)
{
    bool is_ascii = PyUnicode_IS_COMPACT_ASCII(key);
    if (!is_ascii && !is_ready(key))
        return false;
    if (!is_ascii && has_surrogate(key)) {
        fault(w, at->outer, "string_unicode", "Keys should have no lone surrogates", key);
        return false;
    }
    count_text(w, key);
    return true;
}

/* The values of a dict of ours, in place; the keys stay, so the dict may be walked meanwhile. */
static bool check_members(struct walk *w, struct place *at, PyObject *dict)
{
    Py_ssize_t position = 0;
    PyObject *value;
    while (PyDict_Next(dict, &position, &at->key, &value)) {
        if (!is_good_key(w, at, at->key))
            return false;
        if (is_plain(w, value))
            continue;
        PyObject *good = checked(w, at, value);
        if (!good)
            return false;
        int err = good == value ? 0 : PyDict_SetItem(dict, at->key, good);
        Py_DECREF(good);
        if (err < 0)
            return false;
    }
    return true;
}

static PyObject *checked_dict(struct walk *w, const struct place *outer, PyObject *dict)
{
    struct place at = {outer, dict, NULL, 0, outer ? outer->depth + 1 : 1};
    if (!may_enter(w, outer, dict))
        return NULL;
    PyObject *copy = w->own ? Py_NewRef(dict) : py_spare_dict_copy(dict);
    if (copy && has_foreign_keys(copy))
        Py_SETREF(copy, with_plain_keys(w, &at, copy));
    if (copy && !check_members(w, &at, copy))
        Py_CLEAR(copy);
    return copy;
}

/* What a list or tuple holds: the __iter__ of a class of somebody's own may never end. */
static PyObject *list_of(PyObject *sequence)
{
    if (PyList_Check(sequence))
        return PyList_GetSlice(sequence, 0, PyList_GET_SIZE(sequence));
    Py_ssize_t count = PyTuple_GET_SIZE(sequence);
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++)
        PyList_SET_ITEM(list, i, Py_NewRef(PyTuple_GET_ITEM(sequence, i)));
    return list;
}

static PyObject *checked_sequence(struct walk *w, const struct place *outer, PyObject *sequence)
{
    struct place at = {outer, sequence, NULL, 0, outer ? outer->depth + 1 : 1};
    if (!may_enter(w, outer, sequence))
        return NULL;
    PyObject *copy = w->own ? Py_NewRef(sequence) : list_of(sequence);
    for (; copy && at.index < PyList_GET_SIZE(copy); at.index++) {
        PyObject *value = PyList_GET_ITEM(copy, at.index);
        if (is_plain(w, value))
            continue;
        PyObject *good = checked(w, &at, value);
        if (!good)
            Py_CLEAR(copy);
        else
            PyList_SetItem(copy, at.index, good);
    }
    return copy;
}

/* A new reference; NULL with a fault noted or an exception set. */
static PyObject *checked(struct walk *w, const struct place *at, PyObject *value)
{
    if (is_large(w))
        return too_large(w, NULL);
    if (is_plain(w, value))
        return Py_NewRef(value);
    if (PyUnicode_Check(value))
        return checked_text(w, at, value);
    if (PyLong_Check(value))
        return checked_int(w, at, value);
    if (PyFloat_Check(value))
        return checked_float(w, at, value);
    if (PyDict_Check(value))
        return checked_dict(w, at, value);
    if (PyList_Check(value) || PyTuple_Check(value))
        return checked_sequence(w, at, value);
    py_validation_error_note(
        w->faults, "json_type", loc_of(at),
        PyUnicode_FromFormat("Value should be of JSON, not %.100s", Py_TYPE(value)->tp_name),
        value);
    return NULL;
}

/* --- the whole --- */

/* The bounds on the size left it open. False with a fault noted or an exception set. */
static bool is_small(struct walk *w, PyObject *copy)
{
    struct buf json = BUF_INIT;
    if (is_large(w)) {
        too_large(w, NULL);
        return false;
    }
    enum py_value_written written = py_value_write(&json, copy);
    bool small = buf_ok(&json) && written == PY_VALUE_WRITTEN && json.len <= EVENT_PAYLOAD_MAX;
    if (!buf_ok(&json))
        PyErr_NoMemory();
    else if (!small && written == PY_VALUE_WRITTEN)
        too_large(w, NULL);
    buf_free(&json);
    return small;
}

static PyObject *checked_payload(PyObject *payload, PyObject **faults, bool own)
{
    struct walk w = {.faults = faults, .own = own};
    if (!PyDict_Check(payload))
        return fault(&w, NULL, "dict_type", "Payload should be a dictionary", payload);
    PyObject *copy = checked_dict(&w, NULL, payload);
    if (copy && w.most > EVENT_PAYLOAD_MAX && !is_small(&w, copy))
        Py_CLEAR(copy);
    return copy;
}

PyObject *py_value_copy(PyObject *payload, PyObject **faults)
{
    return checked_payload(payload, faults, false);
}

PyObject *py_value_own(PyObject *payload, PyObject **faults)
{
    PyObject *copy = checked_payload(payload, faults, true);
    Py_DECREF(payload);
    return copy;
}
