// SPDX-License-Identifier: Apache-2.0
/*
 * py_spine_routes - who handles which type of event.
 *
 * Made once from the organs' listens_to: a dict of type -> tuple of organs, in the order the organs
 * were given. An organ that names a type twice handles such an event once; one that is given twice
 * handles it twice.
 */
#ifndef WORKER_NECROSTACK_PY_SPINE_ROUTES_H
#define WORKER_NECROSTACK_PY_SPINE_ROUTES_H

#include <Python.h>

/* `organs` is a list. A new dict, or NULL with TypeError that names the organ. */
PyObject *spine_routes_make(PyObject *organs);

#endif
