// SPDX-License-Identifier: Apache-2.0
/*
 * py_reply - from what a handler returned to the reply. For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_REPLY_H
#define WORKER_PY_REPLY_H

#include "worker/py_compat.h"
#include "worker/reply.h"

/*
 * Fills a cleared reply. A generator is put into *stream (a new reference) for the caller to open.
 * 0, or -1 with TypeError or ValueError when it cannot be sent.
 */
int py_reply_fill(struct reply *reply, PyObject *result, PyObject *request, PyObject **stream);

#endif
