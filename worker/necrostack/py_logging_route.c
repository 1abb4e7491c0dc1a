// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_logging_route.h"

#include <stdbool.h>
#include <stddef.h>

#include "worker/py_compat.h"

/* The classes whose behaviour is known; somebody's subclass is somebody's behaviour. */
static PyObject *logger_class, *stream_handler, *file_handler, *log_record;
static PyObject *json_formatter; /* necrostack.core.logging.JSONFormatter, once it is needed */
static PyObject *record_factory; /* logging.getLogRecordFactory */

/* The names that are looked up for each line, as interned str. */
enum name {
    ACQUIRE,
    CALL_HANDLERS,
    DICT,
    DISABLED,
    EMIT,
    FILTER,
    FILTERS,
    FLUSH,
    FORMAT,
    FORMATTER,
    HANDLE,
    HANDLERS,
    LEVEL,
    LOCK,
    MAKE_RECORD,
    PARENT,
    PROPAGATE,
    RELEASE,
    STREAM,
    TERMINATOR,
    WRITE,
    NAMES
};
static const char *const spelling[NAMES] = {
    [ACQUIRE] = "acquire",
    [CALL_HANDLERS] = "callHandlers",
    [DICT] = "__dict__",
    [DISABLED] = "disabled",
    [EMIT] = "emit",
    [FILTER] = "filter",
    [FILTERS] = "filters",
    [FLUSH] = "flush",
    [FORMAT] = "format",
    [FORMATTER] = "formatter",
    [HANDLE] = "handle",
    [HANDLERS] = "handlers",
    [LEVEL] = "level",
    [LOCK] = "lock",
    [MAKE_RECORD] = "makeRecord",
    [PARENT] = "parent",
    [PROPAGATE] = "propagate",
    [RELEASE] = "release",
    [STREAM] = "stream",
    [TERMINATOR] = "terminator",
    [WRITE] = "write",
};
static PyObject *names[NAMES];

/* What this takes the place of: an object that has one of these for itself does something else. */
static const enum name of_logger[] = {HANDLE, MAKE_RECORD, CALL_HANDLERS, FILTER, NAMES};
static const enum name of_handler[] = {HANDLE, EMIT,    FORMAT,     FILTER,
                                       FLUSH,  ACQUIRE, TERMINATOR, NAMES};
static const enum name of_file_handler[] = {EMIT, NAMES};
static const enum name of_formatter[] = {FORMAT, NAMES};

/* What the classes had when this began; tests like to replace such. */
enum { WATCHED_MAX = 16 };
static struct {
    PyObject *class, *name, *value;
} watched[WATCHED_MAX];
static size_t watched_count;

/* --- start --- */

static int watch(PyObject *class, const enum name *which)
{
    for (; *which != NAMES; which++) {
        PyObject *value = PyObject_GetAttr(class, names[*which]);
        if (!value || watched_count == WATCHED_MAX)
            return -1;
        watched[watched_count].class = class;
        watched[watched_count].name = names[*which];
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
    for (int i = 0; i < NAMES; i++)
        if (!(names[i] = PyUnicode_InternFromString(spelling[i])))
            return -1;
    for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
        if (!(*needed[i].object = PyObject_GetAttrString(logging, needed[i].name)))
            return -1;
    return watch(logger_class, of_logger) || watch(stream_handler, of_handler) ||
                   watch(file_handler, of_file_handler)
               ? -1
               : 0;
}

/* --- is everything as it was? --- */

static bool classes_are_untouched(void)
{
    for (size_t i = 0; i < watched_count; i++) {
        PyObject *value = PyObject_GetAttr(watched[i].class, watched[i].name);
        Py_XDECREF(value);
        if (value != watched[i].value)
            return false;
    }
    return true;
}

/* The attributes of an object itself: a new reference to a dict, or NULL. */
static PyObject *parts_of(PyObject *object)
{
    PyObject *parts = PyObject_GetAttr(object, names[DICT]);
    if (parts && !PyDict_Check(parts))
        Py_CLEAR(parts);
    return parts;
}

/* Borrowed; NULL: there is none. */
static PyObject *part(PyObject *parts, enum name name)
{
    return PyDict_GetItemWithError(parts, names[name]);
}

static bool has_none_of(PyObject *parts, const enum name *which)
{
    for (; *which != NAMES; which++)
        if (part(parts, *which))
            return false;
    return !PyErr_Occurred();
}

static bool has_no_filters(PyObject *parts)
{
    PyObject *filters = part(parts, FILTERS);
    return filters && PyList_Check(filters) && PyList_GET_SIZE(filters) == 0;
}

/* Not before a line needs it: that module is imported through the package, which imports this. */
static bool find_formatter(void)
{
    if (!json_formatter) {
        PyObject *module = PyImport_ImportModule("necrostack.core.logging");
        json_formatter = module ? PyObject_GetAttrString(module, "JSONFormatter") : NULL;
        Py_XDECREF(module);
        if (json_formatter && watch(json_formatter, of_formatter))
            Py_CLEAR(json_formatter);
    }
    return json_formatter != NULL;
}

static bool is_plain_formatter(PyObject *formatter)
{
    if (!find_formatter() || !Py_IS_TYPE(formatter, (PyTypeObject *)json_formatter))
        return false;
    PyObject *parts = parts_of(formatter);
    bool plain = parts && has_none_of(parts, of_formatter);
    Py_XDECREF(parts);
    return plain;
}

/* A FileHandler that was told to wait has no stream before its first record. */
static bool has_plain_parts(PyObject *parts, PyObject *level)
{
    PyObject *least = part(parts, LEVEL), *stream = part(parts, STREAM);
    PyObject *formatter = part(parts, FORMATTER);
    return least && PyObject_RichCompareBool(level, least, Py_GE) > 0 && stream &&
           stream != Py_None && has_no_filters(parts) && has_none_of(parts, of_handler) &&
           formatter && is_plain_formatter(formatter);
}

static bool is_plain_handler(PyObject *handler, PyObject *level)
{
    if (!Py_IS_TYPE(handler, (PyTypeObject *)stream_handler) &&
        !Py_IS_TYPE(handler, (PyTypeObject *)file_handler))
        return false;
    PyObject *parts = parts_of(handler);
    bool plain = parts && has_plain_parts(parts, level);
    Py_XDECREF(parts);
    return plain;
}

static bool makes_plain_records(void)
{
    PyObject *factory = PyObject_CallNoArgs(record_factory);
    Py_XDECREF(factory);
    return factory == log_record;
}

static bool is_plain_logger(PyObject *logger)
{
    if (!Py_IS_TYPE(logger, (PyTypeObject *)logger_class))
        return false;
    PyObject *parts = parts_of(logger);
    bool plain = parts && part(parts, DISABLED) == Py_False && has_no_filters(parts) &&
                 has_none_of(parts, of_logger);
    Py_XDECREF(parts);
    return plain;
}

/* --- finding the handler --- */

/* Adds the handlers of one logger to what was found; `only` is borrowed. False: there are too many.
 */
static bool collect(PyObject *logger, PyObject **only)
{
    PyObject *handlers = PyObject_GetAttr(logger, names[HANDLERS]);
    bool few =
        handlers && PyList_Check(handlers) && PyList_GET_SIZE(handlers) + (*only ? 1 : 0) <= 1;
    if (few && PyList_GET_SIZE(handlers) == 1)
        *only = PyList_GET_ITEM(handlers, 0);
    Py_XDECREF(handlers);
    return few;
}

/* Where the records of a logger go on to: a new reference; Py_None or NULL: nowhere. */
static PyObject *next_above(PyObject *logger)
{
    PyObject *propagate = PyObject_GetAttr(logger, names[PROPAGATE]);
    bool goes_on = propagate && PyObject_IsTrue(propagate) > 0;
    Py_XDECREF(propagate);
    return goes_on ? PyObject_GetAttr(logger, names[PARENT]) : NULL;
}

/* A new reference or NULL. */
static PyObject *only_handler(PyObject *logger)
{
    PyObject *only = NULL, *at = Py_NewRef(logger);
    bool few = true;
    while (at && at != Py_None && few) {
        few = collect(at, &only);
        Py_SETREF(at, few ? next_above(at) : NULL);
    }
    Py_XDECREF(at);
    return few && !PyErr_Occurred() ? Py_XNewRef(only) : NULL;
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
    PyObject *stream = PyObject_GetAttr(handler, names[STREAM]);
    PyObject *written = stream ? PyObject_CallMethodOneArg(stream, names[WRITE], text) : NULL;
    PyObject *flushed = written ? PyObject_CallMethodNoArgs(stream, names[FLUSH]) : NULL;
    Py_XDECREF(flushed);
    Py_XDECREF(written);
    Py_XDECREF(stream);
    return flushed ? 0 : -1;
}

static void unlock(PyObject *lock)
{
    PyObject *raised = py_take_exception();
    PyObject *released = PyObject_CallMethodNoArgs(lock, names[RELEASE]);
    if (!released)
        PyErr_WriteUnraisable(lock);
    Py_XDECREF(released);
    if (raised)
        py_raise_again(raised);
}

int py_logging_route_write(PyObject *handler, PyObject *text)
{
    PyObject *lock = PyObject_GetAttr(handler, names[LOCK]);
    if (!lock)
        return -1;
    PyObject *locked =
        lock != Py_None ? PyObject_CallMethodNoArgs(lock, names[ACQUIRE]) : Py_NewRef(Py_None);
    int err = locked ? write_and_flush(handler, text) : -1;
    if (locked && lock != Py_None)
        unlock(lock);
    Py_XDECREF(locked);
    Py_DECREF(lock);
    return err;
}
