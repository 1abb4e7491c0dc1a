// SPDX-License-Identifier: Apache-2.0
#include "worker/py_json.h"

#include "common/json_text.h"

#include <math.h>
#include <stdio.h>

static struct {
    PyObject *encoder;       /* json's C encoder: non-ASCII as it is */
    PyObject *ascii_encoder; /* the same, everything escaped */
    PyObject *lossy_encoder; /* str() of what JSON cannot hold */
    PyObject *lossy_ascii_encoder;
    PyObject *scan_once; /* json's C scanner */
    PyObject *decode;    /* JSONDecoder.decode: allows blanks around */
    PyObject *zero;
} json;

static PyObject *refuse_constant(PyObject *self, PyObject *name)
{
    (void)self;
    return PyErr_Format(PyExc_ValueError, "%U is not JSON", name);
}

static PyMethodDef refuse_method = {"refuse_constant", refuse_constant, METH_O, NULL};

/* c_make_encoder(markers, default, encoder, indent, ": ", ", ", sort_keys, skipkeys, allow_nan) */
static PyObject *make_encoder(PyObject *module, PyObject *fallback, const char *quoter)
{
    PyObject *make = PyObject_GetAttrString(module, "c_make_encoder");
    PyObject *quote = PyObject_GetAttrString(module, quoter);
    PyObject *encoder = NULL;
    /* Without markers a circular value ends in RecursionError: the depth is limited anyway. */
    if (make && quote && fallback && make != Py_None)
        encoder = PyObject_CallFunction(make, "OOOOssOOO", Py_None, fallback, quote, Py_None, ": ",
                                        ", ", Py_False, Py_False, Py_False);
    Py_XDECREF(make);
    Py_XDECREF(quote);
    return encoder;
}

static int init_encoders(void)
{
    PyObject *module = PyImport_ImportModule("json.encoder");
    PyObject *type = module ? PyObject_GetAttrString(module, "JSONEncoder") : NULL;
    PyObject *plain = type ? PyObject_CallNoArgs(type) : NULL;
    PyObject *refuse = plain ? PyObject_GetAttrString(plain, "default") : NULL;
    if (refuse) {
        json.encoder = make_encoder(module, refuse, "encode_basestring");
        json.ascii_encoder = make_encoder(module, refuse, "encode_basestring_ascii");
        json.lossy_encoder = make_encoder(module, (PyObject *)&PyUnicode_Type, "encode_basestring");
        json.lossy_ascii_encoder =
            make_encoder(module, (PyObject *)&PyUnicode_Type, "encode_basestring_ascii");
    }
    Py_XDECREF(refuse);
    Py_XDECREF(plain);
    Py_XDECREF(type);
    Py_XDECREF(module);
    return json.encoder && json.ascii_encoder && json.lossy_encoder && json.lossy_ascii_encoder
               ? 0
               : -1;
}

static int init_decoder(void)
{
    PyObject *module = PyImport_ImportModule("json");
    PyObject *type = module ? PyObject_GetAttrString(module, "JSONDecoder") : NULL;
    PyObject *refuse = PyCFunction_New(&refuse_method, NULL);
    PyObject *args = PyTuple_New(0);
    PyObject *options = refuse ? Py_BuildValue("{sO}", "parse_constant", refuse) : NULL;
    PyObject *decoder = type && args && options ? PyObject_Call(type, args, options) : NULL;
    if (decoder) {
        json.scan_once = PyObject_GetAttrString(decoder, "scan_once");
        json.decode = PyObject_GetAttrString(decoder, "decode");
    }
    Py_XDECREF(decoder);
    Py_XDECREF(options);
    Py_XDECREF(args);
    Py_XDECREF(refuse);
    Py_XDECREF(type);
    Py_XDECREF(module);
    return json.scan_once && json.decode ? 0 : -1;
}

int py_json_init(void)
{
    json.zero = PyLong_FromLong(0);
    return json.zero && init_encoders() == 0 ? init_decoder() : -1;
}

bool py_json_is_scalar(PyObject *value)
{
    return PyUnicode_CheckExact(value) || PyLong_CheckExact(value) || value == Py_None ||
           PyBool_Check(value) || PyFloat_CheckExact(value);
}

static int put_long(struct buf *out, PyObject *value)
{
    int overflow;
    long long small = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0) {
        char text[24];
        buf_append(out, text, (size_t)snprintf(text, sizeof(text), "%lld", small));
        return 0;
    }
    PyObject *text = PyObject_Str(value);
    Py_ssize_t len;
    const char *bytes = text ? PyUnicode_AsUTF8AndSize(text, &len) : NULL;
    if (bytes)
        buf_append(out, bytes, (size_t)len);
    Py_XDECREF(text);
    return bytes ? 0 : -1;
}

static int put_float(struct buf *out, PyObject *value)
{
    double number = PyFloat_AS_DOUBLE(value);
    if (!isfinite(number)) {
        PyErr_SetString(PyExc_ValueError, "Out of range float values are not JSON compliant");
        return -1;
    }
    char *text = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (!text)
        return -1;
    buf_puts(out, text);
    PyMem_Free(text);
    return 0;
}

static int put_text(struct buf *out, PyObject *value)
{
    Py_ssize_t len;
    const char *bytes = PyUnicode_AsUTF8AndSize(value, &len);
    if (bytes) {
        json_put_string(out, bytes, (size_t)len);
        return 0;
    }
    PyErr_Clear();
    struct span text;
    PyObject *owner = py_json_encode(value, &text);
    if (owner)
        buf_append(out, text.data, text.len);
    Py_XDECREF(owner);
    return owner ? 0 : -1;
}

int py_json_put_scalar(struct buf *out, PyObject *value)
{
    if (PyUnicode_CheckExact(value))
        return put_text(out, value);
    if (PyLong_CheckExact(value))
        return put_long(out, value);
    if (PyFloat_CheckExact(value))
        return put_float(out, value);
    buf_puts(out, value == Py_None ? "null" : value == Py_True ? "true" : "false");
    return 0;
}

/* One str of everything that a C encoder yields. */
static PyObject *run_encoder(PyObject *encoder, PyObject *value)
{
    PyObject *args[] = {value, json.zero};
    PyObject *chunks = PyObject_Vectorcall(encoder, args, 2, NULL);
    if (!chunks)
        return NULL;
    PyObject *text = NULL;
    if (PyTuple_Check(chunks) && PyTuple_GET_SIZE(chunks) == 1) {
        text = PyTuple_GET_ITEM(chunks, 0);
        Py_INCREF(text);
    } else {
        PyObject *empty = PyUnicode_New(0, 0);
        text = empty ? PyUnicode_Join(empty, chunks) : NULL;
        Py_XDECREF(empty);
    }
    Py_DECREF(chunks);
    return text;
}

static PyObject *encode_with(PyObject *encoder, PyObject *value, struct span *text)
{
    PyObject *owner = run_encoder(encoder, value);
    if (!owner)
        return NULL;
    Py_ssize_t len;
    const char *bytes = PyUnicode_AsUTF8AndSize(owner, &len);
    if (!bytes) {
        Py_DECREF(owner);
        return NULL;
    }
    *text = (struct span){bytes, (size_t)len};
    return owner;
}

/* With escapes where there are lone surrogates. */
static PyObject *encode(PyObject *encoder, PyObject *ascii_encoder, PyObject *value,
                        struct span *text)
{
    PyObject *owner = encode_with(encoder, value, text);
    if (owner || !PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
        return owner;
    PyErr_Clear();
    return encode_with(ascii_encoder, value, text);
}

PyObject *py_json_encode(PyObject *value, struct span *text)
{
    return encode(json.encoder, json.ascii_encoder, value, text);
}

static PyObject *encode_lossy(PyObject *value, struct span *text)
{
    return encode(json.lossy_encoder, json.lossy_ascii_encoder, value, text);
}

/* Its repr(), or its type where that raises. */
static PyObject *show(PyObject *value)
{
    PyObject *shown = PyObject_Repr(value);
    if (shown)
        return shown;
    PyErr_Clear();
    return PyUnicode_FromFormat("<%s>", Py_TYPE(value)->tp_name);
}

/* What a member can be written as: itself, or what shows it. A new reference. */
static PyObject *presentable(PyObject *value)
{
    struct span text;
    PyObject *owner = encode_lossy(value, &text);
    if (!owner) {
        PyErr_Clear();
        return show(value);
    }
    Py_DECREF(owner);
    Py_INCREF(value);
    return value;
}

/* A copy of which every member can be written. */
static PyObject *presentable_dict(PyObject *dict)
{
    PyObject *held = PyDict_Copy(dict); /* a repr() may change the other */
    PyObject *copy = held ? PyDict_New() : NULL, *key, *value;
    for (Py_ssize_t at = 0; copy && PyDict_Next(held, &at, &key, &value);) {
        PyObject *name = PyUnicode_Check(key) ? Py_NewRef(key) : show(key);
        PyObject *shown = name ? presentable(value) : NULL;
        if (!shown || PyDict_SetItem(copy, name, shown) < 0)
            Py_CLEAR(copy);
        Py_XDECREF(name);
        Py_XDECREF(shown);
    }
    Py_XDECREF(held);
    return copy;
}

PyObject *py_json_encode_lossy(PyObject *value, struct span *text)
{
    PyObject *owner = encode_lossy(value, text);
    if (owner)
        return owner;
    PyErr_Clear();
    PyObject *shown = PyDict_Check(value) ? presentable_dict(value) : show(value);
    if (!shown)
        return NULL;
    owner = encode_lossy(shown, text);
    Py_DECREF(shown);
    return owner;
}

static void explain_decode_error(void)
{
    if (PyErr_ExceptionMatches(PyExc_RecursionError)) {
        PyErr_Clear();
        PyErr_SetString(PyExc_ValueError, "nested too deeply");
    }
}

static PyObject *decode_text(PyObject *source)
{
    PyObject *args[] = {source, json.zero};
    PyObject *pair = PyObject_Vectorcall(json.scan_once, args, 2, NULL);
    if (pair && PyLong_AsSsize_t(PyTuple_GET_ITEM(pair, 1)) == PyUnicode_GET_LENGTH(source)) {
        PyObject *value = PyTuple_GET_ITEM(pair, 0);
        Py_INCREF(value);
        Py_DECREF(pair);
        return value;
    }
    /* Blanks around it, or wrong: the slower way handles the first and explains the second. */
    Py_XDECREF(pair);
    PyErr_Clear();
    PyObject *value = PyObject_CallOneArg(json.decode, source);
    if (!value)
        explain_decode_error();
    return value;
}

PyObject *py_json_decode(const char *text, size_t len)
{
    PyObject *source = PyUnicode_DecodeUTF8(text, (Py_ssize_t)len, NULL);
    if (!source)
        return NULL; /* UnicodeDecodeError is a ValueError */
    PyObject *value = decode_text(source);
    Py_DECREF(source);
    return value;
}
