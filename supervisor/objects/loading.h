// SPDX-License-Identifier: Apache-2.0
/*
 * loading - how the source of an object gets into a worker: which source, and the LOAD message.
 * lifecycle decides when.
 */
#ifndef SUPERVISOR_OBJECTS_LOADING_H
#define SUPERVISOR_OBJECTS_LOADING_H

#include "supervisor/objects/object.h"

/*
 * Spawns o->candidate with o->loading: an order's source; else the file's, which is to become a
 * version when it is new; else, for a start from nothing, the newest accepted version where the
 * file cannot be read or was rejected. 0, or -errno with the reason noted.
 */
int loading_start(struct object *o);
/* Spawns a worker with what serves, which is there: 0 or -errno. */
int loading_start_replica(struct object *o, struct worker_ref *ref);
/* For worker_spawn(): a worker that loads what serves, with the state as it is now, for tests. */
int loading_fill_test(struct worker *w);
/* The candidate loaded: its source is what serves from now on. */
void loading_accept(struct object *o, uint64_t version);
/* Nothing is loading any more; before it is known why a candidate failed: not its source's fault.
 */
void loading_drop(struct object *o);

/* The accepted state, as LOAD and RESET carry it. 0 or -errno; *fd is -1 without a checkpoint. */
int loading_state(struct object *o, struct buf *writes, struct rpc_state *state, int *fd);

#endif
