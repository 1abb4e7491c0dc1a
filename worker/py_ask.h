// SPDX-License-Identifier: Apache-2.0
/*
 * py_ask - what the running turn asks of objects: asked and waited for, or awaited.
 *
 * Only inside a turn and on its main thread; anywhere else RuntimeError says where. For py_*.c
 * only; with the GIL.
 */
#ifndef WORKER_PY_ASK_H
#define WORKER_PY_ASK_H

#include "common/rpc.h"
#include "worker/py_compat.h"

struct py_question {
    enum rpc_ask_kind kind;
    const char *function; /* what the code called, for errors */
    PyObject *object_id;  /* str */
    const char *method;   /* upper case */
    PyObject *request;    /* NULL or None: no body */
    PyObject *timeout;    /* seconds; NULL or None: as long as the turn */
    struct span query;    /* of a view */
};

int py_ask_init(void);
/* Waits for the answer: its value (new), or NULL with one of py_call_error.h, or what interrupts.
 */
PyObject *py_ask_wait(const struct py_question *q);
/* A future of the running loop. */
PyObject *py_ask_future(const struct py_question *q);
/* The turn is over: its futures that nobody answered are cancelled. */
void py_ask_end_turn(uint64_t id);

#endif
