// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_logging_route.h"

#include <stdbool.h>
#include <stddef.h>

#include "worker/py_compat.h"

/* The classes whose behaviour is known; somebody's subclass is somebody's behaviour. */
static PyObject *logger_class, *stream_handler, *file_handler, *log_record;
static PyObject *json_formatter; /* necrostack.core.logging.JSONFormatter, once it is needed */
static PyObject *record_factory; /* logging.getLogRecordFactory */

/* The methods that this takes the place of: on an object of its own, they are not those. */
static const char *const logger_methods[] = {"handle", "makeRecord", "callHandlers", "filter",
                                             NULL};
static const char *const handler_methods[] = {"handle", "emit",    "format",     "filter",
                                              "flush",  "acquire", "terminator", NULL};
static const char *const file_methods[] = {"emit", NULL};
static const char *const formatter_methods[] = {"format", NULL};

/* What the classes had when this began: class, name, value. Tests like to replace such. */
enum { WATCHED_MAX = 16 };
static struct {
    PyTypeObject *class;
    PyObject *name, *value;
} watched[WATCHED_MAX];
static size_t watched_count;

/* --- start --- */

static int watch(PyObject *class, const char *const *names)
{
    for (; *names; names++) {
        PyObject *name = PyUnicode_InternFromString(*names);
        PyObject *value = name ? PyObject_GetAttr(class, name) : NULL;
        if (!value || watched_count == WATCHED_MAX) {
            Py_XDECREF(name);
            return -1;
        }
        watched[watched_count].class = (PyTypeObject *)class;
        watched[watched_count].name = name;
        watched[watched_count++].value = value;
    }
    return 0;
}

int py_logging_route_init(PyObject *logging)
{
    const struct {
        PyObject **object;
        const char *name;
    } needed[] = {{&logger_class, "Logger"},
                  {&stream_handler, "StreamHandler"},
                  {&file_handler, "FileHandler"},
                  {&log_record, "LogRecord"},
                  {&record_factory, "getLogRecordFactory"}};
    for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
        if (!(*needed[i].object = PyObject_GetAttrString(logging, needed[i].name)))
            return -1;
    return watch(logger_class, logger_methods) || watch(stream_handler, handler_methods) ||
                   watch(file_handler, file_methods)
               ? -1
               : 0;
}

/* --- is everything as it was? --- */

static bool classes_are_untouched(void)
{
    for (size_t i = 0; i < watched_count; i++) {
        PyObject *value = PyObject_GetAttr((PyObject *)watched[i].class, watched[i].name);
        Py_XDECREF(value);
        if (value != watched[i].value)
            return false;
    }
    return true;
}

/* Has the object nothing of these names of its own? */
static bool has_none_of(PyObject *object, const char *const *names)
{
    PyObject *dict = PyObject_GetAttrString(object, "__dict__");
    bool none = dict && PyDict_Check(dict);
    for (; none && *names; names++)
        none = !PyDict_GetItemString(dict, *names);
    Py_XDECREF(dict);
    return none;
}

static bool is_empty_list(PyObject *object, const char *name)
{
    PyObject *list = PyObject_GetAttrString(object, name);
    bool empty = list && PyList_Check(list) && PyList_GET_SIZE(list) == 0;
    Py_XDECREF(list);
    return empty;
}

static bool is_true(PyObject *object, const char *name)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    bool truth = value && PyObject_IsTrue(value) > 0;
    Py_XDECREF(value);
    return truth;
}

static bool has_plain_formatter(PyObject *handler)
{
    if (!json_formatter) {
        PyObject *module = PyImport_ImportModule("necrostack.core.logging");
        json_formatter = module ? PyObject_GetAttrString(module, "JSONFormatter") : NULL;
        Py_XDECREF(module);
    }
    PyObject *formatter = json_formatter ? PyObject_GetAttrString(handler, "formatter") : NULL;
    bool plain = formatter && Py_IS_TYPE(formatter, (PyTypeObject *)json_formatter) &&
                 has_none_of(formatter, formatter_methods);
    Py_XDECREF(formatter);
    return plain;
}

static bool takes_level(PyObject *handler, PyObject *level)
{
    PyObject *least = PyObject_GetAttrString(handler, "level");
    bool takes = least && PyObject_RichCompareBool(level, least, Py_GE) > 0;
    Py_XDECREF(least);
    return takes;
}

/* A FileHandler opens its file with the first record when told to wait. */
static bool has_stream(PyObject *handler)
{
    PyObject *stream = PyObject_GetAttrString(handler, "stream");
    Py_XDECREF(stream);
    return stream && stream != Py_None;
}

static bool is_plain_handler(PyObject *handler, PyObject *level)
{
    return (Py_IS_TYPE(handler, (PyTypeObject *)stream_handler) ||
            Py_IS_TYPE(handler, (PyTypeObject *)file_handler)) &&
           has_none_of(handler, handler_methods) && is_empty_list(handler, "filters") &&
           takes_level(handler, level) && has_stream(handler) && has_plain_formatter(handler);
}

static bool makes_plain_records(void)
{
    PyObject *factory = PyObject_CallNoArgs(record_factory);
    Py_XDECREF(factory);
    return factory == log_record;
}

/* --- finding the handler --- */

/* Adds the handlers of one logger to those found; `only` borrowed. False: there are too many. */
static bool collect(PyObject *logger, PyObject **only)
{
    PyObject *handlers = PyObject_GetAttrString(logger, "handlers");
    bool few =
        handlers && PyList_Check(handlers) && PyList_GET_SIZE(handlers) + (*only ? 1 : 0) <= 1;
    if (few && PyList_GET_SIZE(handlers) == 1)
        *only = PyList_GET_ITEM(handlers, 0);
    Py_XDECREF(handlers);
    return few;
}

/* The logger and those above that its records go up to. A new reference or NULL. */
static PyObject *only_handler(PyObject *logger)
{
    PyObject *only = NULL, *at = Py_NewRef(logger);
    bool few = true;
    while (at && at != Py_None && few) {
        few = collect(at, &only);
        PyObject *next =
            few && is_true(at, "propagate") ? PyObject_GetAttrString(at, "parent") : NULL;
        Py_SETREF(at, next);
    }
    Py_XDECREF(at);
    return few ? Py_XNewRef(only) : NULL;
}

static bool is_plain_logger(PyObject *logger)
{
    return Py_IS_TYPE(logger, (PyTypeObject *)logger_class) && !is_true(logger, "disabled") &&
           is_empty_list(logger, "filters") && has_none_of(logger, logger_methods);
}

PyObject *py_logging_route_find(PyObject *logger, PyObject *level)
{
    PyObject *handler = is_plain_logger(logger) ? only_handler(logger) : NULL;
    if (handler &&
        !(is_plain_handler(handler, level) && classes_are_untouched() && makes_plain_records()))
        Py_CLEAR(handler);
    PyErr_Clear(); /* whatever is odd about them, the long way will say it */
    return handler;
}

/* --- writing --- */

static int write_and_flush(PyObject *handler, PyObject *text)
{
    PyObject *stream = PyObject_GetAttrString(handler, "stream");
    PyObject *written = stream ? PyObject_CallMethod(stream, "write", "O", text) : NULL;
    PyObject *flushed = written ? PyObject_CallMethod(stream, "flush", NULL) : NULL;
    Py_XDECREF(flushed);
    Py_XDECREF(written);
    Py_XDECREF(stream);
    return flushed ? 0 : -1;
}

static void unlock(PyObject *lock)
{
    PyObject *raised = py_take_exception();
    PyObject *released = PyObject_CallMethod(lock, "release", NULL);
    if (!released)
        PyErr_WriteUnraisable(lock);
    Py_XDECREF(released);
    if (raised)
        py_raise_again(raised);
}

int py_logging_route_write(PyObject *handler, PyObject *text)
{
    PyObject *lock = PyObject_GetAttrString(handler, "lock");
    if (!lock)
        return -1;
    PyObject *locked =
        lock != Py_None ? PyObject_CallMethod(lock, "acquire", NULL) : Py_NewRef(Py_None);
    int err = locked ? write_and_flush(handler, text) : -1;
    if (locked && lock != Py_None)
        unlock(lock);
    Py_XDECREF(locked);
    Py_DECREF(lock);
    return err;
}
