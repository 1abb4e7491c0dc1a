// SPDX-License-Identifier: Apache-2.0
/*
 * py_spare_dict - the dicts of payloads, kept for the next events.
 *
 * Python keeps some dicts itself (80 in its version 3.11). Where a thousand events wait, each
 * further one is allocated anew, and the collector, which counts allocations, walks the lists that
 * hold the events. So while more events live than that, their dicts come here: 1,024 at most,
 * empty, untracked, and nobody else's. With the GIL.
 */
#ifndef WORKER_NECROSTACK_PY_SPARE_DICT_H
#define WORKER_NECROSTACK_PY_SPARE_DICT_H

#include <Python.h>

/* As PyDict_Copy(). */
PyObject *py_spare_dict_copy(PyObject *dict);
/* Steals the reference. */
void py_spare_dict_put(PyObject *dict);

#endif
