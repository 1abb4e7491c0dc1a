// SPDX-License-Identifier: Apache-2.0
/*
 * py_outside - state written outside any turn: by threads and by tasks left over.
 *
 * The writes wait in a queue; the main thread applies them between turns (py_state_drain), where an
 * increment is added to what the value is then, so that none is lost. Code outside sees the copy as
 * it is at that moment, overlaid by everything queued. With the GIL, any thread.
 */
#ifndef WORKER_PY_OUTSIDE_H
#define WORKER_PY_OUTSIDE_H

#include "worker/py_compat.h"

#include <stdbool.h>

int py_outside_init(void);
bool py_outside_is_empty(void);
/* stored: as in py_state_copy.h; NULL deletes. 0, or -1 with an exception. */
int py_outside_put(PyObject *key, PyObject *stored);
/* Queues an addition; `sum` is what code outside shall see until then. */
int py_outside_add(PyObject *key, PyObject *by, PyObject *sum);
/* A fresh value: NULL without an exception when the key is not there. */
PyObject *py_outside_get(PyObject *key);
/* A new dict: the copy with the queue over it. */
PyObject *py_outside_merged(void);

#endif
