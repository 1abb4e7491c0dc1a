// SPDX-License-Identifier: Apache-2.0
/*
 * py_outside - state written outside any turn: by threads and by tasks left over.
 *
 * The writes wait in a queue; the main thread applies them between turns (py_outside_drain), where
 * an increment is added to what the value is then, so that none is lost. Code outside sees the copy
 * as it is at that moment, overlaid by everything queued. With the GIL, any thread.
 */
#ifndef WORKER_PY_OUTSIDE_H
#define WORKER_PY_OUTSIDE_H

#include "common/buf.h"

#include <stdint.h>

struct _object; /* struct _object */

int py_outside_init(void);
bool py_outside_is_empty(void);
/* stored: as in py_state_copy.h; NULL deletes. 0, or -1 with an exception. */
int py_outside_put(struct _object *key, struct _object *stored);
/* Queues an addition; `sum` is what code outside shall see until then. */
int py_outside_add(struct _object *key, struct _object *by, struct _object *sum);
/* A fresh value: NULL without an exception when the key is not there. */
struct _object *py_outside_get(struct _object *key);
/* A new dict: the copy with the queue over it. */
struct _object *py_outside_merged(void);

/* An eventfd to wake the main thread with, when something is queued. */
void py_outside_set_wake_fd(int fd);
/*
 * Main thread, between turns: applies the queue and encodes what it changed; false when that is
 * nothing.
 */
bool py_outside_drain(struct buf *writes, uint32_t *write_count);

#endif
