// SPDX-License-Identifier: Apache-2.0
/*
 * confine - what a fresh worker does before anything of its object: it goes with the supervisor,
 * joins its control groups, and takes its limits on itself.
 */
#ifndef WORKER_CONFINE_H
#define WORKER_CONFINE_H

#include "common/rpc.h"

#include <sys/types.h>

/*
 * In the fresh child. group: of a cgroup v2 that it was not born in; "" none. `supervisor` must
 * still be the parent, else the process ends at once; it ends too, after one line on stderr, when
 * it cannot join a group that it was given.
 */
void confine(const struct rpc_spawn *spawn, const char *group, pid_t supervisor);

#endif
