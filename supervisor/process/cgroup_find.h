// SPDX-License-Identifier: Apache-2.0
/*
 * cgroup_find - where this process stands in the control groups of the machine, and a folder of the
 * station's own below that, in each hierarchy that is of use. Start-up only; may wait.
 */
#ifndef SUPERVISOR_PROCESS_CGROUP_FIND_H
#define SUPERVISOR_PROCESS_CGROUP_FIND_H

#include "supervisor/process/cgroup.h"

/*
 * The own groups of the process, from the texts of /proc/self/mountinfo and /proc/self/cgroup:
 * a root for each hierarchy that is mounted, v2 first. With v1 parts says what its controllers can
 * do; with v2 it is 0, for that is seen in the folder. Pure.
 */
void cgroup_find(struct cgroups *own, const char *mountinfo, const char *self);

/*
 * Makes the folder `name` in each of them, switches the controllers of v2 on, and says in `groups`
 * what can be used: v2 where it has the part, else v1. For what cannot, `why` gets a line; empty
 * when all can.
 *
 * v2 allows no processes in a group whose controllers are given on to others. So when our own is
 * such a group and nobody else is in it, as in a systemd service with Delegate=yes or a container,
 * this process moves to `name`/supervisor, with a larger share of the processors than a worker.
 */
void cgroup_prepare(struct cgroups *groups, const struct cgroups *own, const char *name, char *why,
                    size_t why_size);

#endif
