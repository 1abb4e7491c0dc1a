// SPDX-License-Identifier: Apache-2.0
#include "worker/py_error.h"

#include "worker/py_logger.h"

static PyObject *format_exception; /* traceback.format_exception */

int py_error_init(void)
{
    PyObject *module = PyImport_ImportModule("traceback");
    format_exception = module ? PyObject_GetAttrString(module, "format_exception") : NULL;
    Py_XDECREF(module);
    return format_exception ? 0 : -1;
}

static void append_text(struct buf *out, PyObject *text)
{
    PyObject *bytes = text && PyUnicode_Check(text) ? py_utf8_lossy(text) : NULL;
    if (bytes)
        buf_append(out, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_XDECREF(bytes);
    PyErr_Clear();
}

static bool is_foreign_file(PyObject *filename)
{
    const char *name = PyUnicode_AsUTF8(filename);
    if (!name) {
        PyErr_Clear();
        return false;
    }
    return strncmp(name, "<frozen ", 8) == 0 || strstr(name, "/asyncio/") != NULL;
}

static PyObject *frame_file(PyTracebackObject *tb)
{
    PyCodeObject *code = PyFrame_GetCode(tb->tb_frame);
    PyObject *name = code->co_filename;
    Py_INCREF(name);
    Py_DECREF(code);
    return name;
}

/* The first frame that belongs to the object; NULL when there is none. Borrowed. */
static PyObject *skip_foreign(PyObject *traceback)
{
    PyTracebackObject *tb = (PyTracebackObject *)traceback;
    while (tb) {
        PyObject *name = frame_file(tb);
        bool is_foreign = is_foreign_file(name);
        Py_DECREF(name);
        if (!is_foreign)
            break;
        tb = tb->tb_next;
    }
    return (PyObject *)tb;
}

static void trim(PyObject *exception)
{
    PyObject *traceback = PyException_GetTraceback(exception);
    if (!traceback)
        return;
    PyObject *own = skip_foreign(traceback);
    if (own != traceback)
        PyException_SetTraceback(exception, own ? own : Py_None);
    Py_DECREF(traceback);
}

static void put_type(struct py_error *e, PyObject *exception)
{
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(exception), "__name__");
    append_text(&e->type, name);
    Py_XDECREF(name);
}

/* A deadline that passes just now is raised in here, once, and must not cost the text. */
static PyObject *text_of(PyObject *exception)
{
    PyObject *text = PyObject_Str(exception);
    if (!text && PyErr_ExceptionMatches(PyExc_TimeoutError)) {
        PyErr_Clear();
        text = PyObject_Str(exception);
    }
    return text;
}

static void put_summary(struct py_error *e, PyObject *exception)
{
    PyObject *text = NULL;
    /* str() of a SyntaxError adds file and line, which travel apart. */
    if (PyErr_GivenExceptionMatches(exception, PyExc_SyntaxError))
        text = PyObject_GetAttrString(exception, "msg");
    if (!text || !PyUnicode_Check(text)) {
        Py_XDECREF(text);
        text = text_of(exception);
    }
    PyErr_Clear();
    buf_append(&e->summary, e->type.data, e->type.len);
    if (text && PyUnicode_Check(text) && PyUnicode_GET_LENGTH(text) > 0) {
        buf_puts(&e->summary, ": ");
        append_text(&e->summary, text);
    }
    Py_XDECREF(text);
}

static void put_traceback(struct py_error *e, PyObject *exception)
{
    PyObject *lines = PyObject_CallOneArg(format_exception, exception);
    PyObject *sequence = lines ? PySequence_Fast(lines, "") : NULL;
    for (Py_ssize_t i = 0; sequence && i < PySequence_Fast_GET_SIZE(sequence); i++)
        append_text(&e->traceback, PySequence_Fast_GET_ITEM(sequence, i));
    Py_XDECREF(sequence);
    Py_XDECREF(lines);
    PyErr_Clear();
}

static bool same_text(PyObject *text, const char *path)
{
    const char *utf8 = PyUnicode_AsUTF8(text);
    PyErr_Clear();
    return utf8 && strcmp(utf8, path) == 0;
}

static uint32_t syntax_line(PyObject *exception, const char *path)
{
    PyObject *filename = PyObject_GetAttrString(exception, "filename");
    PyObject *lineno = PyObject_GetAttrString(exception, "lineno");
    uint32_t line = 0;
    if (filename && lineno && PyUnicode_Check(filename) && PyLong_Check(lineno) &&
        same_text(filename, path))
        line = (uint32_t)PyLong_AsUnsignedLongMask(lineno);
    Py_XDECREF(filename);
    Py_XDECREF(lineno);
    PyErr_Clear();
    return line;
}

static uint32_t traceback_line(PyObject *exception, const char *path)
{
    uint32_t line = 0;
    PyObject *traceback = PyException_GetTraceback(exception);
    for (PyTracebackObject *tb = (PyTracebackObject *)traceback; tb; tb = tb->tb_next) {
        PyObject *name = frame_file(tb);
        if (same_text(name, path)) {
            PyObject *number = PyObject_GetAttrString((PyObject *)tb, "tb_lineno");
            line = number ? (uint32_t)PyLong_AsUnsignedLongMask(number) : line;
            Py_XDECREF(number);
        }
        Py_DECREF(name);
    }
    Py_XDECREF(traceback);
    PyErr_Clear();
    return line;
}

static uint32_t find_line(PyObject *exception, const char *path)
{
    uint32_t line = 0;
    if (PyErr_GivenExceptionMatches(exception, PyExc_SyntaxError))
        line = syntax_line(exception, path);
    return line ? line : traceback_line(exception, path);
}

void py_error_take(struct py_error *e, const char *path)
{
    *e = (struct py_error){0};
    PyObject *exception = py_take_exception();
    if (!exception) {
        buf_puts(&e->summary, "unknown error");
        return;
    }
    trim(exception);
    put_type(e, exception);
    put_summary(e, exception);
    put_traceback(e, exception);
    if (path)
        e->line = find_line(exception, path);
    Py_DECREF(exception);
}

void py_error_log_taken(const struct py_error *e, const char *what)
{
    struct buf message = BUF_INIT;
    PyObject *traceback = py_text(e->traceback.data ? e->traceback.data : "", e->traceback.len);
    PyObject *fields = traceback ? Py_BuildValue("{sO}", "traceback", traceback) : NULL;
    if (what) {
        buf_puts(&message, what);
        buf_puts(&message, ": ");
    }
    buf_append(&message, e->summary.data, e->summary.len);
    py_logger_write("ERROR", (struct span){message.data ? message.data : "", message.len}, fields);
    buf_free(&message);
    Py_XDECREF(fields);
    Py_XDECREF(traceback);
    PyErr_Clear();
}

void py_error_log(const char *what, struct buf *summary)
{
    struct py_error e;
    py_error_take(&e, NULL);
    py_error_log_taken(&e, what);
    if (summary) {
        buf_reset(summary, 0);
        buf_append(summary, e.summary.data, e.summary.len);
    }
    py_error_free(&e);
}

void py_error_free(struct py_error *e)
{
    buf_free(&e->type);
    buf_free(&e->summary);
    buf_free(&e->traceback);
}
