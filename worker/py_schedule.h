// SPDX-License-Identifier: Apache-2.0
/*
 * py_schedule - `_schedule` and `_unschedule`, and the functions that a tick calls.
 *
 * What a turn asks for goes with the turn: commit moves it into the reply, undo forgets it. What
 * the module asks for while it is imported is part of its metadata. For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_SCHEDULE_H
#define WORKER_PY_SCHEDULE_H

#include "worker/py_signature.h"
#include "worker/reply.h"

/* 0, or -1 with a Python exception. */
int py_schedule_init(void);
/* The two functions; borrowed. */
PyObject *py_schedule(void);
PyObject *py_unschedule(void);

/* The module that is about to be imported; both dicts are borrowed for good. */
void py_schedule_set_module(PyObject *names, PyObject *injected);
/* The import is over: are the functions there that it has scheduled? 0, or -1 with TypeError. */
int py_schedule_check_module(void);
/* [[function, when, payload as text, misfire], …] of the import; new. */
PyObject *py_schedule_imported(void);
/* Which of these names (a list) are no functions of the module; new. */
PyObject *py_schedule_missing(PyObject *names);

/* The end of a turn. */
void py_schedule_commit(struct reply *reply);
void py_schedule_undo(void);

/*
 * How a tick calls that function: planned when it is first asked for. NULL without an exception:
 * there is none; or with one.
 */
const struct call_plan *py_schedule_plan(struct span function);

#endif
