// SPDX-License-Identifier: Apache-2.0
/*
 * py_object - the object of this worker: its module and its handlers.
 *
 * Main thread, with the GIL.
 */
#ifndef WORKER_PY_OBJECT_H
#define WORKER_PY_OBJECT_H

#include "common/rpc.h"

struct object_load_error {
    struct buf error, traceback;
    uint32_t line;
};

/*
 * Reads the state, runs the source, finds the handlers. 0: `metadata` holds the JSON of READY.
 * -1: `error` says why. The checkpoint descriptor (-1: none) is borrowed.
 */
int py_object_load(const struct rpc_load *load, int checkpoint_fd, struct buf *metadata,
                   struct object_load_error *error);

#endif
