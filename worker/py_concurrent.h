// SPDX-License-Identifier: Apache-2.0
/*
 * py_concurrent - turns of a stateless object that run at once, each a task on the asyncio loop
 * (__endpoint__["concurrent"]).
 *
 * Each has a scope and a deadline of its own: at the deadline its task is cancelled; one that does
 * not end within half of the grace is answered without, and goes on outside any turn. For py_*.c
 * only; main thread, with the GIL.
 */
#ifndef WORKER_PY_CONCURRENT_H
#define WORKER_PY_CONCURRENT_H

#include "worker/py_compat.h"

#include <stdbool.h>
#include <stdint.h>

int py_concurrent_init(void);
void py_concurrent_set(bool on);
bool py_concurrent_is_on(void);

/*
 * Starts the awaitable (taken) as a task and suspends the scope, which is the current one no more.
 * end(arg, result) is called once, in that scope: a new reference, or NULL with an exception. 0, or
 * -1 with an exception and nothing suspended. timeout_ns 0: none. task: NULL, or where a reference
 * to the task goes.
 */
int py_concurrent_start(PyObject *awaitable, uint64_t timeout_ns,
                        void (*end)(void *arg, PyObject *result), void *arg, PyObject **task);

/*
 * From Python's handler of the deadline signal, which interrupted `frame`: does it belong to a turn
 * whose time is over? The caller is to raise TimeoutError there.
 */
bool py_concurrent_is_late(PyObject *frame);

#endif
