// SPDX-License-Identifier: Apache-2.0
/*
 * py_logger - `_logger`: lines for the object's log, sent as LOG frames.
 *
 * A line goes to the outbox at once, with the id of the call that its writer belongs to. For
 * py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_LOGGER_H
#define WORKER_PY_LOGGER_H

#include "common/codec.h"
#include "worker/py_compat.h"

int py_logger_init(void);
/* The `_logger` object; borrowed. */
PyObject *py_logger(void);
/* A line of ours about what runs on the main thread. fields: dict or NULL. Leaves no exception. */
void py_logger_write(const char *level, struct span message, PyObject *fields);

#endif
