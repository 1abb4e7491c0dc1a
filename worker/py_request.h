// SPDX-License-Identifier: Apache-2.0
/*
 * py_request - `request`: a dict with the data of a call, and attributes built on first use.
 *
 * While the turn runs the request reads the call where the frame lies; py_request_detach() gives it
 * a copy of its own when somebody keeps it. For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_REQUEST_H
#define WORKER_PY_REQUEST_H

#include "common/rpc.h"
#include "worker/py_compat.h"

#include <stdbool.h>

int py_request_init(void);
/* Borrows the call's spans until py_request_detach(); takes body_fd in any case. */
PyObject *py_request_new(uint64_t id, const struct rpc_call *call, int body_fd);
/*
 * Fills the dict: JSON object, form fields or query. 0; -1 with ValueError when the body is not
 * what it claims to be (the client's fault), or with another exception.
 */
int py_request_fill(PyObject *request);
/*
 * Is the dict one value that came alone: the only member of a JSON object, the only field of a form
 * without files, or (*from_query) the only query parameter of a request without a body?
 */
bool py_request_is_single(PyObject *request, bool *from_query);
/* The turn is over: copies what the request borrows, if anybody but the caller holds it. */
void py_request_detach(PyObject *request);
/* Its id as str, a new reference. */
PyObject *py_request_id(PyObject *request);
/* The response object if the handler has used it, borrowed; else NULL. */
PyObject *py_request_response(PyObject *request);

#endif
