// SPDX-License-Identifier: Apache-2.0
/*
 * py_handlers - which function of the object serves which HTTP method. For py_*.c only.
 */
#ifndef WORKER_PY_HANDLERS_H
#define WORKER_PY_HANDLERS_H

#include "common/codec.h"
#include "worker/py_signature.h"

#include <stdbool.h>

/* Finds the handlers in the module's names. 0, or -1 with TypeError. */
int py_handlers_find(PyObject *names, PyObject *injected);
/* The plan for a method; HEAD falls back to GET. NULL: there is none. */
const struct call_plan *py_handlers_get(struct span method);
/* "GET, HEAD, OPTIONS": what Allow says. */
const char *py_handlers_allow(void);
/* Does the object have any handler? */
bool py_handlers_any(void);
/* ["GET", …]: the handlers that the module defines. A new list. */
PyObject *py_handlers_list(void);

#endif
