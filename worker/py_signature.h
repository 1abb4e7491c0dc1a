// SPDX-License-Identifier: Apache-2.0
/*
 * py_signature - how a function of the object is called: decided once, at load.
 *
 * Parameters get by name: `request`, or else the first name we do not know, the request; injected
 * names their objects; others their default. A parameter that would get nothing is an error. For
 * py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_SIGNATURE_H
#define WORKER_PY_SIGNATURE_H

#include "worker/py_compat.h"

#include <stdbool.h>

enum { CALL_ARGUMENTS_MAX = 32 };

struct call_plan {
    PyObject *function;
    PyObject *arguments[CALL_ARGUMENTS_MAX]; /* NULL: the request */
    size_t positional;                       /* those before the keyword ones */
    size_t count;
    PyObject *kwnames;  /* tuple of the keyword ones, or NULL */
    bool names_request; /* a parameter is called `request` */
};

/* injected: dict name -> object. 0, or -1 with TypeError. The plan owns what it refers to. */
int py_signature_plan(struct call_plan *plan, const char *name, PyObject *function,
                      PyObject *injected);
/* As py_signature_plan, but only a parameter called `request` gets the request. */
int py_signature_plan_exact(struct call_plan *plan, const char *name, PyObject *function,
                            PyObject *injected);
/* Drops what a plan refers to; for one that is not kept for good. */
void py_signature_free(struct call_plan *plan);
/* A new reference, or NULL with what the function raised. */
PyObject *py_signature_call(const struct call_plan *plan, PyObject *request);

#endif
