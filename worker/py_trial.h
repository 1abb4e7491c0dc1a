// SPDX-License-Identifier: Apache-2.0
/*
 * py_trial - health() and migrate_state(old_version): what a new version of an object has to pass
 * before it serves.
 *
 * Both may be async and take injected names. health() reads what it likes, changes no state, and
 * passes only with True; a function of that name that needs something else as an argument is the
 * object's own and never called. migrate_state() gets the number of the version that served before
 * and writes as a turn does. For py_*.c and turn.c; with the GIL.
 */
#ifndef WORKER_PY_TRIAL_H
#define WORKER_PY_TRIAL_H

#include "worker/reply.h"

#include <stdbool.h>

struct _object; /* PyObject */

/* Looks for the two in the module's names. 0, or -1 with an exception. */
int py_trial_find(struct _object *names, struct _object *injected, struct _object *filename);
bool py_trial_has_health(void);
bool py_trial_has_migrate(void);
/*
 * Runs the one that the call is for. Status 200, or 500 and why: the body is a line for people, the
 * fields `traceback` and `line` say where.
 */
void py_trial_run(uint64_t id, const struct rpc_call *call, struct reply *reply);

#endif
