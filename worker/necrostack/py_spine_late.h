// SPDX-License-Identifier: Apache-2.0
/*
 * py_spine_late - waits of a run that last too long: for a handler beyond its timeout, for the pull
 * of somebody's backend after stop().
 *
 * A timer of the loop looks at run->late_at and interrupts by cancelling the task; code that runs
 * between two waits is the watchdog's.
 */
#ifndef WORKER_NECROSTACK_PY_SPINE_LATE_H
#define WORKER_NECROSTACK_PY_SPINE_LATE_H

#include <Python.h>

#include "worker/necrostack/py_coroutine.h"

struct spine_run;

/* Hooks of the run's coroutine (py_coroutine.h): they bound its waits, and what it awaits. */
int spine_late_suspended(struct py_coroutine *self);
void spine_late_before_step(struct py_coroutine *self);
void spine_late_after_step(struct py_coroutine *self);
/* After a wait that was interrupted: with its value, or NULL and the exception being raised. */
void spine_late_end(struct spine_run *run, PyObject *value);
/* The run is over: no timer any more. */
void spine_late_leave(struct spine_run *run);

#endif
