// SPDX-License-Identifier: Apache-2.0
/*
 * py_call_error - how a call of another object fails, as Python exceptions: CallError and, of it,
 * ObjectNotFound, ObjectUnavailable, CallTimeout, CallCycle, ObjectError. Objects reach them as
 * attributes of `_runtime`. For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_CALL_ERROR_H
#define WORKER_PY_CALL_ERROR_H

#include "common/rpc.h"
#include "worker/py_compat.h"

int py_call_error_init(void);
/* The class of that name; a new reference, NULL when there is none (no exception is set). */
PyObject *py_call_error_class(const char *name);
/* Is this the answer of a call that failed? */
bool py_call_error_in(const struct rpc_answer *m);
/* Raises it. body: what the answer's body holds, decoded. */
void py_call_error_raise(PyObject *object_id, const struct rpc_answer *m, PyObject *body);
/*
 * What a handler answers that lets the exception being raised pass: its status, and further members
 * of its JSON into `members` (each with a comma before it). 0 when it is none of ours.
 */
uint32_t py_call_error_status(struct buf *members);

#endif
