// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_event_json.h"

#include <errno.h>
#include <stdlib.h>

#include "common/events/event_json.h"
#include "worker/necrostack/py_validation_error.h"
#include "worker/necrostack/py_value.h"
#include "worker/necrostack/py_value_write.h"
#include "worker/py_compat.h"

static PyObject *raw_decode;        /* of a json.JSONDecoder */
static PyObject *raw_decode_any;    /* of one that reads integers of any length */
static PyObject *json_decode_error; /* json.JSONDecodeError */

/* --- writing --- */

/* What was changed since the event was made is checked again, and converted where it can be. */
static int write_changed(struct buf *out, PyObject *payload)
{
    PyObject *faults = NULL;
    PyObject *copy = py_value_copy(payload, &faults);
    enum py_value_written written = PY_VALUE_ERROR;
    if (copy)
        written = py_value_write(out, copy);
    else if (faults)
        py_validation_error_raise(&faults, "Event");
    Py_XDECREF(copy);
    return written == PY_VALUE_WRITTEN ? 0 : -EINVAL;
}

static int raise_too_large(PyObject *payload)
{
    PyObject *faults = NULL;
    py_validation_error_field(&faults, "too_long", "payload", "Payload has grown too large",
                              payload);
    if (faults)
        py_validation_error_raise(&faults, "Event");
    return -EINVAL;
}

static int write_payload(struct buf *out, PyObject *payload)
{
    int err = 0;
    enum py_value_written written = py_value_write(out, payload);
    if (written == PY_VALUE_FOREIGN) {
        buf_reset(out, SIZE_MAX);
        err = write_changed(out, payload);
    }
    if (!buf_ok(out)) {
        PyErr_NoMemory();
        return -ENOMEM;
    }
    if (written == PY_VALUE_ERROR || err)
        return PyErr_ExceptionMatches(PyExc_MemoryError) ? -ENOMEM : -EINVAL;
    return out->len > EVENT_PAYLOAD_MAX ? raise_too_large(payload) : 0;
}

int py_event_json_payload(PyObject *event, struct span *json)
{
    struct py_event *e = (struct py_event *)event;
    struct buf out = BUF_INIT;
    free(e->json);
    e->json = NULL;
    int err = write_payload(&out, e->payload);
    if (!err && !(e->json = buf_take(&out, &e->json_len))) {
        PyErr_NoMemory();
        err = -ENOMEM;
    }
    buf_free(&out);
    *json = (struct span){e->json, e->json_len};
    return err;
}

static PyObject *text_of(const struct buf *out)
{
    return buf_ok(out) ? PyUnicode_DecodeUTF8(out->data, (Py_ssize_t)out->len, NULL)
                       : PyErr_NoMemory();
}

PyObject *py_event_json_text(PyObject *event)
{
    struct py_event *e = (struct py_event *)event;
    struct buf out = BUF_INIT;
    PyObject *text = NULL;
    struct span json;
    int err = py_event_json_payload(event, &json);
    if (!err && event_json_write(&out, &e->event) == 0)
        text = text_of(&out);
    else if (!err)
        PyErr_NoMemory();
    free(e->json);
    e->json = NULL;
    buf_free(&out);
    return text;
}

/* --- reading --- */

/* parse_int of the second reading: the digits that Python does not read become a number that it
 * does not print, so that the check of the payload says where it stands. */
static PyObject *parse_any_int(PyObject *unused, PyObject *digits)
{
    (void)unused;
    PyObject *number = PyLong_FromUnicodeObject(digits, 10);
    if (number || !PyErr_ExceptionMatches(PyExc_ValueError))
        return number;
    PyErr_Clear();
    PyObject *one = PyLong_FromLong(1);
    PyObject *bits = PyLong_FromSsize_t(4 * PyUnicode_GetLength(digits));
    if (one && bits)
        number = PyNumber_Lshift(one, bits);
    Py_XDECREF(one);
    Py_XDECREF(bits);
    return number;
}

static PyMethodDef parse_any_int_method = {"parse_int", parse_any_int, METH_O, NULL};

static PyObject *make_decoder(PyObject *json, PyObject *parse_int)
{
    PyObject *class = PyObject_GetAttrString(json, "JSONDecoder");
    PyObject *none = PyTuple_New(0);
    PyObject *options = parse_int ? Py_BuildValue("{sO}", "parse_int", parse_int) : PyDict_New();
    PyObject *decoder = class && none && options ? PyObject_Call(class, none, options) : NULL;
    PyObject *method = decoder ? PyObject_GetAttrString(decoder, "raw_decode") : NULL;
    Py_XDECREF(decoder);
    Py_XDECREF(options);
    Py_XDECREF(none);
    Py_XDECREF(class);
    return method;
}

int py_event_json_init(void)
{
    PyObject *json = PyImport_ImportModule("json");
    PyObject *parse_int = PyCFunction_New(&parse_any_int_method, NULL);
    if (json && parse_int) {
        raw_decode = make_decoder(json, NULL);
        raw_decode_any = make_decoder(json, parse_int);
        json_decode_error = PyObject_GetAttrString(json, "JSONDecodeError");
    }
    Py_XDECREF(parse_int);
    Py_XDECREF(json);
    return raw_decode && raw_decode_any && json_decode_error ? 0 : -1;
}

static bool is_json_space(Py_UCS4 c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* raw_decode() reads one value from a place on; around it may be white space, and nothing else. */
static PyObject *decode_by(PyObject *decode, PyObject *text)
{
    Py_ssize_t from = 0, len = PyUnicode_GetLength(text);
    while (from < len && is_json_space(PyUnicode_READ_CHAR(text, from)))
        from++;
    PyObject *start = PyLong_FromSsize_t(from);
    PyObject *pair = start ? PyObject_CallFunctionObjArgs(decode, text, start, NULL) : NULL;
    Py_XDECREF(start);
    if (!pair)
        return NULL;
    PyObject *value = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
    Py_ssize_t to = PyLong_AsSsize_t(PyTuple_GET_ITEM(pair, 1));
    Py_DECREF(pair);
    while (to < len && is_json_space(PyUnicode_READ_CHAR(text, to)))
        to++;
    if (to == len)
        return value;
    Py_DECREF(value);
    PyErr_Format(PyExc_ValueError, "Extra data at character %zd", to);
    return NULL;
}

/* An integer of more digits than Python reads raises ValueError: then again, by the patient one. */
static PyObject *decode_text(PyObject *text)
{
    PyObject *value = decode_by(raw_decode, text);
    if (value || !PyErr_ExceptionMatches(PyExc_ValueError) ||
        PyErr_ExceptionMatches(json_decode_error))
        return value;
    PyErr_Clear();
    return decode_by(raw_decode_any, text);
}

static PyObject *as_text(PyObject *text)
{
    if (PyUnicode_Check(text))
        return PyUnicode_FromObject(text);
    if (PyBytes_Check(text))
        return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), NULL);
    if (PyByteArray_Check(text))
        return PyUnicode_DecodeUTF8(PyByteArray_AS_STRING(text), PyByteArray_GET_SIZE(text), NULL);
    return PyErr_Format(PyExc_TypeError, "JSON should be str, bytes or bytearray, not %.100s",
                        Py_TYPE(text)->tp_name);
}

/* Makes a ValidationError of what the decoder raised. Always NULL. */
static PyObject *raise_invalid(PyObject *text, const char *title)
{
    PyObject *faults = NULL;
    if (PyErr_ExceptionMatches(PyExc_RecursionError)) {
        PyErr_Clear(); /* only a payload may be nested */
        py_validation_error_field(&faults, "too_deep", "payload",
                                  "Payload should not be nested so deep", NULL);
    } else if (PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyObject *exception = py_take_exception();
        PyObject *words = PyObject_Str(exception);
        py_validation_error_note(&faults, "json_invalid", PyTuple_New(0),
                                 words ? PyUnicode_FromFormat("Invalid JSON: %U", words) : NULL,
                                 text);
        Py_XDECREF(words);
        Py_DECREF(exception);
    }
    if (faults)
        py_validation_error_raise(&faults, title);
    return NULL;
}

PyObject *py_event_json_decode(PyObject *source, const char *title)
{
    PyObject *text = as_text(source);
    PyObject *value = text ? decode_text(text) : NULL;
    Py_XDECREF(text);
    return value ? value : raise_invalid(source, title);
}

PyObject *py_event_json_read_payload(struct span json)
{
    PyObject *faults = NULL;
    PyObject *text = PyUnicode_DecodeUTF8(json.data, (Py_ssize_t)json.len, NULL);
    PyObject *payload = text ? decode_text(text) : NULL;
    if (!payload)
        raise_invalid(text ? text : Py_None, "Event");
    Py_XDECREF(text);
    if (payload)
        payload = py_value_own(payload, &faults);
    if (faults)
        py_validation_error_raise(&faults, "Event");
    return payload;
}
