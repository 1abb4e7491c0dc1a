// SPDX-License-Identifier: Apache-2.0
#include "worker/necrostack/py_logging.h"

#include "worker/necrostack/py_event_field.h"
#include "worker/necrostack/py_logging_line.h"
#include "worker/necrostack/py_logging_route.h"
#include "worker/necrostack/py_necrostack.h"
#include "worker/py_compat.h"

static PyObject *logger;               /* logging.getLogger("necrostack.spine") */
static PyObject *enabled;              /* its cache: level -> bool; NULL: it is no plain Logger */
static PyObject *debug, *info, *error; /* the levels as int */
static PyObject *is_enabled_for;       /* its name */

static PyObject *level_object(enum py_logging_level level)
{
    switch (level) {
    case PY_LOGGING_DEBUG:
        return debug;
    case PY_LOGGING_INFO:
        return info;
    default:
        return error;
    }
}

/* The logger clears its cache whenever a level changes, its own, of a parent or of
 * logging.disable(). */
bool py_logging_enabled(enum py_logging_level level)
{
    PyObject *key = level_object(level);
    PyObject *known = enabled ? PyDict_GetItemWithError(enabled, key) : NULL;
    if (known == Py_False)
        return false;
    PyObject *raised_before = py_take_exception();
    PyObject *answer = PyObject_CallMethodOneArg(logger, is_enabled_for, key);
    bool wanted = answer && PyObject_IsTrue(answer) > 0;
    if (!answer)
        PyErr_WriteUnraisable(logger);
    Py_XDECREF(answer);
    if (raised_before)
        py_raise_again(raised_before);
    return wanted;
}

/* --- ordinary records --- */

static int put(PyObject *dict, const char *name, PyObject *value)
{
    int err = value ? PyDict_SetItemString(dict, name, value) : -1;
    Py_XDECREF(value);
    return err;
}

static PyObject *emitted_types(const struct py_logging_line *line)
{
    PyObject *types = PyList_New((Py_ssize_t)line->emitted_count);
    for (size_t i = 0; types && i < line->emitted_count; i++)
        PyList_SET_ITEM(types, (Py_ssize_t)i, Py_NewRef(line->emitted[i]));
    return types;
}

static PyObject *extra_of(const struct py_logging_line *line)
{
    PyObject *extra = PyDict_New();
    int err = extra ? 0 : -1;
    if (!err && line->event) {
        struct py_event *e = (struct py_event *)line->event;
        err = put(extra, "event_id", py_event_field_id_text(&e->event)) ||
                      put(extra, "event_type", Py_NewRef(e->type))
                  ? -1
                  : 0;
    }
    if (!err && line->organ)
        err = put(extra, "organ", Py_NewRef(line->organ));
    if (!err && line->emitted)
        err = put(extra, "emitted", emitted_types(line));
    if (err)
        Py_CLEAR(extra);
    return extra;
}

static PyObject *exc_info_of(const struct py_logging_line *line)
{
    PyObject *exception = line->exception;
    if (!exception)
        return Py_NewRef(Py_None);
    PyObject *traceback = PyException_GetTraceback(exception);
    PyObject *exc_info =
        PyTuple_Pack(3, Py_TYPE(exception), exception, traceback ? traceback : Py_None);
    Py_XDECREF(traceback);
    return exc_info;
}

static PyObject *name_of(const struct py_logging_line *line)
{
    (void)line;
    return PyObject_GetAttrString(logger, "name");
}

static PyObject *msg_of(const struct py_logging_line *line)
{
    return line->text ? Py_NewRef(line->text) : PyUnicode_FromString(line->format);
}

static PyObject *args_of(const struct py_logging_line *line)
{
    if (!line->args[0])
        return PyTuple_New(0);
    return line->args[1] ? PyTuple_Pack(2, line->args[0], line->args[1])
                         : PyTuple_Pack(1, line->args[0]);
}

/* The first part that cannot be made is the last one tried: nothing is called while an exception is
 * set. */
static PyObject *record_of(const struct py_logging_line *line)
{
    enum { NAME, MSG, ARGS, EXC_INFO, EXTRA, PARTS };
    static PyObject *(*const make[PARTS])(const struct py_logging_line *) = {
        [NAME] = name_of,         [MSG] = msg_of,     [ARGS] = args_of,
        [EXC_INFO] = exc_info_of, [EXTRA] = extra_of,
    };
    PyObject *parts[PARTS], *record = NULL;
    int made = 0;
    while (made < PARTS && (parts[made] = make[made](line)))
        made++;
    if (made == PARTS)
        record =
            PyObject_CallMethod(logger, "makeRecord", "OOsiOOOOO", parts[NAME],
                                level_object(line->level), "necrostack/core/spine.py", 0,
                                parts[MSG], parts[ARGS], parts[EXC_INFO], Py_None, parts[EXTRA]);
    while (made > 0)
        Py_DECREF(parts[--made]);
    return record;
}

static int handle(PyObject *record)
{
    PyObject *done = record ? PyObject_CallMethod(logger, "handle", "O", record) : NULL;
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* --- the short way --- */

/* handleError() asks the traceback where the line comes from; what C raised has none. */
static int trace_here(void)
{
    PyObject *exception = py_take_exception();
    PyObject *traceback = PyException_GetTraceback(exception);
    PyFrameObject *frame = PyEval_GetFrame();
    py_raise_again(exception);
    if (!traceback && frame)
        return PyTraceBack_Here(frame);
    Py_XDECREF(traceback);
    return 0;
}

/* As StreamHandler.emit() does with what its stream raises: handleError() sees it being handled. */
static int tell_handler(PyObject *handler, const struct py_logging_line *line)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_RecursionError) ||
        trace_here())
        return -1;
    PyObject *exception = py_take_exception(), *type, *value, *traceback;
    PyErr_GetExcInfo(&type, &value, &traceback);
    PyErr_SetExcInfo(Py_NewRef((PyObject *)Py_TYPE(exception)), Py_NewRef(exception),
                     PyException_GetTraceback(exception));
    PyObject *record = record_of(line);
    PyObject *done = record ? PyObject_CallMethod(handler, "handleError", "O", record) : NULL;
    Py_XDECREF(record);
    PyErr_SetExcInfo(type, value, traceback);
    Py_XDECREF(done);
    Py_DECREF(exception);
    return done ? 0 : -1;
}

/* 1: written; 0: it has to go the long way; -1 with an exception. */
static int write_directly(const struct py_logging_line *line)
{
    PyObject *handler = py_logging_route_find(logger, level_object(line->level));
    if (!handler)
        return PyErr_Occurred() ? -1 : 0;
    PyObject *text = py_logging_line_text(line);
    int result = text ? 1 : PyErr_Occurred() ? -1 : 0;
    if (text && py_logging_route_write(handler, text) < 0)
        result = tell_handler(handler, line) < 0 ? -1 : 1;
    Py_XDECREF(text);
    Py_DECREF(handler);
    return result;
}

static int emit(const struct py_logging_line *line)
{
    int written = enabled && !line->exception ? write_directly(line) : 0;
    if (written)
        return written < 0 ? -1 : 0;
    PyObject *record = record_of(line);
    int err = handle(record);
    Py_XDECREF(record);
    return err;
}

/* --- the lines --- */

static PyObject *type_of(PyObject *event)
{
    return ((struct py_event *)event)->type;
}

int py_logging_dispatching(PyObject *event, PyObject *organ)
{
    return emit(&(struct py_logging_line){.level = PY_LOGGING_INFO,
                                          .format = "Dispatching %s to %s",
                                          .args = {type_of(event), organ},
                                          .event = event,
                                          .organ = organ});
}

int py_logging_emitted(PyObject *event, PyObject *organ, PyObject *const *emitted, size_t count)
{
    return emit(&(struct py_logging_line){.level = PY_LOGGING_INFO,
                                          .format = "Handler %s emitted events",
                                          .args = {organ},
                                          .event = event,
                                          .organ = organ,
                                          .emitted = emitted,
                                          .emitted_count = count});
}

int py_logging_raised(PyObject *event, PyObject *organ, PyObject *exception)
{
    return emit(&(struct py_logging_line){.level = PY_LOGGING_ERROR,
                                          .format = "Handler %s raised exception: %s",
                                          .args = {organ, exception},
                                          .event = event,
                                          .organ = organ,
                                          .exception = exception});
}

int py_logging_unheard(PyObject *event)
{
    return emit(&(struct py_logging_line){.level = PY_LOGGING_DEBUG,
                                          .format = "No organ listens to %s",
                                          .args = {type_of(event)},
                                          .event = event});
}

int py_logging_failed(PyObject *event, PyObject *exception, const char *format, ...)
{
    va_list ap;
    if (!py_logging_enabled(PY_LOGGING_ERROR))
        return 0;
    va_start(ap, format);
    PyObject *text = PyUnicode_FromFormatV(format, ap);
    va_end(ap);
    if (!text)
        return -1;
    int err = emit(&(struct py_logging_line){
        .level = PY_LOGGING_ERROR, .text = text, .event = event, .exception = exception});
    Py_DECREF(text);
    return err;
}

/* --- start --- */

/* A logger of a class that somebody set may decide by its own rules: it is asked each time. */
static int find_cache(PyObject *logging)
{
    PyObject *class = PyObject_GetAttrString(logging, "Logger");
    if (!class)
        return -1;
    if (Py_IS_TYPE(logger, (PyTypeObject *)class)) {
        enabled = PyObject_GetAttrString(logger, "_cache");
        if (!enabled || !PyDict_CheckExact(enabled))
            Py_CLEAR(enabled);
        PyErr_Clear();
    }
    Py_DECREF(class);
    return 0;
}

int py_logging_add(PyObject *module)
{
    (void)module;
    PyObject *logging = PyImport_ImportModule("logging");
    if (!logging)
        return -1;
    logger = PyObject_CallMethod(logging, "getLogger", "s", "necrostack.spine");
    debug = PyLong_FromLong(PY_LOGGING_DEBUG);
    info = PyLong_FromLong(PY_LOGGING_INFO);
    error = PyLong_FromLong(PY_LOGGING_ERROR);
    is_enabled_for = PyUnicode_InternFromString("isEnabledFor");
    bool made = logger && debug && info && error && is_enabled_for;
    int err = made ? find_cache(logging) : -1;
    if (!err)
        err = py_logging_route_init(logging);
    Py_DECREF(logging);
    return err;
}
