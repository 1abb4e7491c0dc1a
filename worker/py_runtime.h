// SPDX-License-Identifier: Apache-2.0
/*
 * py_runtime - `_runtime`, and what this worker knows about itself and its station.
 *
 * For py_*.c only; with the GIL.
 */
#ifndef WORKER_PY_RUNTIME_H
#define WORKER_PY_RUNTIME_H

#include "common/codec.h"
#include "worker/py_compat.h"

#include <stdbool.h>

struct runtime_facts {
    PyObject *object_id;   /* str */
    PyObject *station_id;  /* str */
    PyObject *objects_dir; /* str */
    uint64_t boot;
    uint64_t turn_writes_max;
    uint64_t body_max;
    uint64_t schedule_payload_max;
    PyObject *scheduled; /* list of str: functions that schedules of the object call; NULL: none */
    uint64_t timeout_grace_ns;
    bool expose_tracebacks;
    bool is_replica; /* when it was loaded */
};

int py_runtime_init(void);
/* From a LOAD: 0, or -1 with an exception when the settings are not what they should be. */
int py_runtime_configure(struct span object_id, struct span settings);
const struct runtime_facts *py_runtime_facts(void);
/* The `_runtime` object; borrowed. */
PyObject *py_runtime(void);

#endif
