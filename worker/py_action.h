// SPDX-License-Identifier: Apache-2.0
/*
 * py_action - a POST that calls the object's start() or stop() instead of its POST().
 *
 * The data of such a request is {"action": "start"} or {"action": "stop"} and nothing else, as JSON
 * body, as form, or as query without a body (but not with raw_query in __endpoint__). `action`
 * beside other keys, or with a value that is no action, is the object's own, and so is the whole
 * request where the object has no function of that name. For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_ACTION_H
#define WORKER_PY_ACTION_H

#include "common/codec.h"
#include "worker/py_signature.h"

#include <stdbool.h>

struct action {
    const char *name;      /* "start" */
    const char *done;      /* "started" */
    struct call_plan plan; /* function NULL: the object has none */
};

/*
 * Finds start and stop in the module's names. What bears the name and could not be called with a
 * request is no action: 0, or -1 with an exception that has nothing to do with it.
 */
int py_action_find(PyObject *names, PyObject *injected);
/* Could a call with this method be an action of this object? */
bool py_action_possible(struct span method);
/* The action that this filled request (of such a method) asks for; NULL: it is a call like others.
 */
const struct action *py_action_of(PyObject *request);
/*
 * What is answered, from what the function returned: a dict with the result, or a tuple of one and
 * the status where the function gave one. A new reference, or NULL with an exception.
 */
PyObject *py_action_answer(const struct action *action, PyObject *result);

#endif
