// SPDX-License-Identifier: Apache-2.0
/*
 * py_spine - the Spine object: which organs, which backend, what to do about failures.
 *
 * Everything is checked and the table of routes made when it is constructed. Each run() is a
 * coroutine of its own (py_spine_run.h), one at a time.
 */
#ifndef WORKER_NECROSTACK_PY_SPINE_H
#define WORKER_NECROSTACK_PY_SPINE_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "worker/necrostack/py_backend.h"
#include "worker/necrostack/py_spine_face.h"

struct spine_run;

struct py_spine {
    PyObject_HEAD PyObject *organs;     /* a list of one's own */
    PyObject *routes;                   /* event type -> tuple of organs, in the order given */
    PyObject *backend;                  /* as given */
    const struct py_backend_kind *kind; /* NULL: the backend is driven through its methods */
    PyObject *store;
    PyObject *enqueue_mode_member, *handler_mode_member; /* as Python shows them */
    enum spine_enqueue_mode enqueue_mode;
    enum spine_handler_mode handler_mode;
    unsigned long long max_steps, retry_attempts, max_failures;
    double retry_base_delay;
    uint64_t handler_timeout_ns; /* 0: none */
    struct spine_stats stats;    /* of the run under way, or else of the last one */
    PyObject *enqueue_failures;  /* event type -> int, since the Spine was made */
    struct spine_run *run;       /* under way; borrowed */
    int being_made;              /* how many __init__() are under way: no run begins */
    uint64_t stops;              /* how often stop() was called */
    PyObject *weak_references;
};

#endif
