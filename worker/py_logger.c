// SPDX-License-Identifier: Apache-2.0
#include "worker/py_logger.h"

#include "common/clock.h"
#include "common/rpc.h"
#include "worker/outbox.h"
#include "worker/py_json.h"
#include "worker/py_runtime.h"
#include "worker/py_scope.h"
#include "worker/py_view.h"

#include <strings.h>

enum { LINE_KEEP_CAP = 16 * 1024 };

static PyObject *logger;
static struct buf line;

static const struct level {
    const char *name;
    const char *written;
    long number; /* that of Python's logging */
} levels[] = {
    {"debug", "DEBUG", 10},    {"info", "INFO", 20},   {"warning", "WARNING", 30},
    {"warn", "WARNING", 30},   {"error", "ERROR", 40}, {"critical", "CRITICAL", 50},
    {"fatal", "CRITICAL", 50},
};

static const char *level_of(PyObject *value)
{
    const char *name = PyUnicode_Check(value) ? PyUnicode_AsUTF8(value) : NULL;
    long number = PyLong_Check(value) && !PyBool_Check(value) ? PyLong_AsLong(value) : -1;
    PyErr_Clear();
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if ((name && strcasecmp(name, levels[i].name) == 0) || number == levels[i].number)
            return levels[i].written;
    return NULL;
}

static int put_line(uint64_t id, const char *level, struct span message, struct span fields)
{
    struct rpc_log m = {span_of(level), clock_wall_us(), message, fields};
    rpc_log_encode(&line, &m);
    int err = buf_ok(&line) ? outbox_put(RPC_LOG, id, (struct span){line.data, line.len}, -1) : -1;
    buf_reset(&line, LINE_KEEP_CAP);
    if (err)
        PyErr_SetString(PyExc_OSError, "the line cannot be logged from this process");
    return err ? -1 : 0;
}

static int write_line(uint64_t id, const char *level, struct span message, PyObject *fields)
{
    struct span text = {"", 0};
    PyObject *owner = NULL;
    if (fields && PyDict_GET_SIZE(fields) > 0 && !(owner = py_json_encode_lossy(fields, &text)))
        return -1;
    int err = put_line(id, level, message, text);
    Py_XDECREF(owner);
    return err;
}

static PyObject *write_object(const char *level, PyObject *message, PyObject *fields)
{
    PyObject *text = PyObject_Str(message);
    PyObject *bytes = text ? py_utf8_lossy(text) : NULL;
    int err = -1;
    if (bytes)
        err = write_line(py_scope_id_here(), level,
                         (struct span){PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)},
                         fields);
    Py_XDECREF(text);
    Py_XDECREF(bytes);
    if (err < 0)
        return NULL;
    Py_RETURN_NONE;
}

void py_logger_write(const char *level, struct span message, PyObject *fields)
{
    if (write_line(py_scope_id(), level, message, fields) < 0)
        PyErr_Clear();
}

static PyObject *at_level(const char *level, PyObject *args, PyObject *fields)
{
    PyObject *message;
    if (PyTuple_GET_SIZE(args) != 1) {
        PyErr_SetString(PyExc_TypeError, "a log call takes one message and keyword fields");
        return NULL;
    }
    message = PyTuple_GET_ITEM(args, 0);
    return write_object(level, message, fields);
}

#define LEVEL_METHOD(name, level)                                                    \
    static PyObject *logger_##name(PyObject *self, PyObject *args, PyObject *kwargs) \
    {                                                                                \
        (void)self;                                                                  \
        return at_level(level, args, kwargs);                                        \
    }

LEVEL_METHOD(debug, "DEBUG")
LEVEL_METHOD(info, "INFO")
LEVEL_METHOD(warning, "WARNING")
LEVEL_METHOD(error, "ERROR")
LEVEL_METHOD(critical, "CRITICAL")

/* Moves an argument given by keyword out of the fields; a new reference or NULL. */
static PyObject *pop_field(PyObject *fields, const char *name)
{
    PyObject *value = PyDict_GetItemString(fields, name);
    Py_XINCREF(value);
    if (value && PyDict_DelItemString(fields, name) < 0)
        Py_CLEAR(value);
    return value;
}

/* log(event, fields, **more fields), at INFO. */
static PyObject *log_event(PyObject *event, PyObject *more, PyObject *fields)
{
    if (more && PyDict_Check(more)) {
        if (PyDict_Merge(fields, more, 0) < 0)
            return NULL;
    } else if (more && more != Py_None && PyDict_SetItemString(fields, "data", more) < 0) {
        return NULL;
    }
    return write_object("INFO", event, fields);
}

static PyObject *log_arguments(PyObject *first, PyObject *second, PyObject *fields)
{
    const char *level = second ? level_of(first) : NULL;
    return level ? write_object(level, second, fields) : log_event(first, second, fields);
}

static PyObject *logger_log(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    PyObject *fields = kwargs ? PyDict_Copy(kwargs) : PyDict_New(), *result = NULL;
    if (!fields)
        return NULL;
    PyObject *level = count < 2 ? pop_field(fields, "level") : NULL;
    PyObject *message = count == 0 || (count == 1 && !level) ? pop_field(fields, "message") : NULL;
    PyObject *first = count > 0 ? PyTuple_GET_ITEM(args, 0) : NULL;
    PyObject *second = count > 1 ? PyTuple_GET_ITEM(args, 1) : NULL;
    if (level && (first || message))
        result = log_arguments(level, first ? first : message, fields);
    else if (count > 2 || (!first && !message))
        PyErr_SetString(PyExc_TypeError, "log() takes (level, message) or (event, fields)");
    else
        result = log_arguments(first ? first : message, first ? (second ? second : message) : NULL,
                               fields);
    Py_XDECREF(level);
    Py_XDECREF(message);
    Py_DECREF(fields);
    return result;
}

static PyObject *logger_get_logs(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    return py_view_logs(py_runtime_facts()->object_id, args, kwargs);
}

#define KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef logger_methods[] = {
    {"debug", KEYWORDS(logger_debug), METH_VARARGS | METH_KEYWORDS, "debug(message, **fields)"},
    {"info", KEYWORDS(logger_info), METH_VARARGS | METH_KEYWORDS, "info(message, **fields)"},
    {"warning", KEYWORDS(logger_warning), METH_VARARGS | METH_KEYWORDS,
     "warning(message, **fields)"},
    {"error", KEYWORDS(logger_error), METH_VARARGS | METH_KEYWORDS, "error(message, **fields)"},
    {"critical", KEYWORDS(logger_critical), METH_VARARGS | METH_KEYWORDS,
     "critical(message, **fields)"},
    {"log", KEYWORDS(logger_log), METH_VARARGS | METH_KEYWORDS,
     "log(level, message, **fields) or log(event, fields)"},
    {"get_logs", KEYWORDS(logger_get_logs), METH_VARARGS | METH_KEYWORDS,
     "get_logs(level=None, limit=None, offset=0, **filters): a list of dicts, newest last"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject logger_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objectd.Logger",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "The object's log.",
    .tp_methods = logger_methods,
};

int py_logger_init(void)
{
    if (PyType_Ready(&logger_type) < 0)
        return -1;
    logger = PyObject_New(PyObject, &logger_type);
    return logger ? 0 : -1;
}

PyObject *py_logger(void)
{
    return logger;
}
