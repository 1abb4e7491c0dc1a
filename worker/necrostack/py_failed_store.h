// SPDX-License-Identifier: Apache-2.0
/*
 * py_failed_store - InMemoryFailedEventStore: the events that could not be delivered or handled,
 * with the error of each; bounded, the oldest go first.
 */
#ifndef WORKER_NECROSTACK_PY_FAILED_STORE_H
#define WORKER_NECROSTACK_PY_FAILED_STORE_H

#include <Python.h>

#include <stdbool.h>

/* A new, empty store; NULL and an exception. */
PyObject *py_failed_store_new(void);
/* Whether it is exactly one of ours: what it stores needs no await. */
bool py_failed_store_check_exact(PyObject *object);
/* 0, or -1 with an exception. */
int py_failed_store_keep(PyObject *store, PyObject *event, PyObject *error);

int py_failed_store_add(PyObject *module);

#endif
