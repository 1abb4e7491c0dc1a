// SPDX-License-Identifier: Apache-2.0
/*
 * py_async - the one asyncio loop of a worker, made when first needed and kept for its life.
 *
 * Main thread, with the GIL.
 */
#ifndef WORKER_PY_ASYNC_H
#define WORKER_PY_ASYNC_H

#include <stdbool.h>
#include <stdint.h>

struct _object; /* PyObject */

/*
 * Runs an awaitable (taken) on the loop in the current scope: its result, or NULL with its
 * exception. What is raised in the loop's own code cancels and ends the task first.
 */
struct _object *py_async_run(struct _object *awaitable);
/* The same as a task beside others: a new reference, or NULL with an exception. */
struct _object *py_async_start(struct _object *awaitable);
/* Calls the callable on the loop after so long: the handle to cancel it by, or NULL. */
struct _object *py_async_later(uint64_t delay_ns, struct _object *callable);
/* Does this frame belong to asyncio itself? */
bool py_async_is_own_frame(struct _object *frame);
/*
 * From Python's handler of the deadline signal, which interrupted `frame`: has the running task
 * cancelled where an exception would end in asyncio's own code and be lost, or leave a task that
 * nothing ever resumes. False: the caller is to raise where it is.
 */
bool py_async_cancel(struct _object *frame);
/* Tasks, timers or descriptors wait for the loop to run. */
bool py_async_has_pending(void);
/* Runs the loop until one of the descriptors is readable. */
void py_async_idle(int fd, int wake_fd);
/* Becomes readable when the loop has something to do; -1 without a loop. */
int py_async_fd(void);

#endif
