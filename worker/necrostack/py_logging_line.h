// SPDX-License-Identifier: Apache-2.0
/*
 * py_logging_line - one line of the log, before it is a record or a text.
 */
#ifndef WORKER_NECROSTACK_PY_LOGGING_LINE_H
#define WORKER_NECROSTACK_PY_LOGGING_LINE_H

#include "worker/necrostack/py_logging.h"

struct py_logging_line {
    enum py_logging_level level;
    const char *format; /* with "%s" for each of args */
    PyObject *args[2];  /* NULL: no more */
    PyObject *text;     /* a str: instead of format and args */
    PyObject *event, *organ;
    PyObject *const *emitted; /* str each; NULL: the line has no such field */
    size_t emitted_count;
    PyObject *exception;
};

/*
 * The line as JSONFormatter makes it of a record, with the end of the line: a new str. NULL without
 * an exception when it is not all ASCII, which JSONFormatter knows better how to write.
 */
PyObject *py_logging_line_text(const struct py_logging_line *line);

#endif
