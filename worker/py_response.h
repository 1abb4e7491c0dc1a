// SPDX-License-Identifier: Apache-2.0
/*
 * py_response - `request.response`: what a handler says about its reply besides the body.
 *
 * For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_RESPONSE_H
#define WORKER_PY_RESPONSE_H

#include "worker/py_compat.h"
#include "worker/reply.h"

int py_response_init(void);
PyObject *py_response_new(void);
/*
 * Puts status, content type, headers and cookies into the reply, where set. 0, or -1 with
 * ValueError or TypeError when one of them cannot be sent.
 */
int py_response_apply(PyObject *response, struct reply *reply);
/*
 * Adds one header given by a handler: Content-Type sets the reply's; those of the connection are
 * the front's own and left out. A list gives several fields. 0, or -1 with an exception.
 */
int py_response_put_header(struct reply *reply, PyObject *name, PyObject *value);
/* As above for a dict or a list of pairs. */
int py_response_put_headers(struct reply *reply, PyObject *headers);
/* Sets the content type. 0, or -1 with an exception. */
int py_response_put_type(struct reply *reply, PyObject *content_type);
/* Checks and sets the status. 0, or -1 with ValueError. */
int py_response_put_status(struct reply *reply, PyObject *status);

#endif
