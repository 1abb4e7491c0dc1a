// SPDX-License-Identifier: Apache-2.0
/*
 * py_error - the exception being raised, as text for people.
 *
 * The traceback shows the object's own frames: those of asyncio and of the import system at its
 * start are left out (ours are C and have none). For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_ERROR_H
#define WORKER_PY_ERROR_H

#include "common/buf.h"
#include "worker/py_compat.h"

#include <stdint.h>

struct py_error {
    struct buf type;      /* "ValueError" */
    struct buf summary;   /* "ValueError: not a number" */
    struct buf traceback; /* with newlines; may be empty */
    uint32_t line;        /* in `path`: where it happened; 0 unknown */
};

int py_error_init(void);
/* Clears the exception and describes it. path: file whose line is wanted; NULL none. */
void py_error_take(struct py_error *e, const char *path);
/* Writes a described exception to the object's log; what: NULL or words before it. */
void py_error_log_taken(const struct py_error *e, const char *what);
/*
 * Clears the exception and writes "what: ValueError: …" with its traceback to the object's log;
 * its summary goes into `summary` too, unless that is NULL.
 */
void py_error_log(const char *what, struct buf *summary);
void py_error_free(struct py_error *e);

#endif
