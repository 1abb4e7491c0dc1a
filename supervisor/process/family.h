// SPDX-License-Identifier: Apache-2.0
/*
 * family - a worker and whatever it has started: born into groups of its own where the station may
 * make them, marked everywhere (mark.h), limited together (limits.h), ended together.
 *
 * The supervisor kills at once what it can reach; the sweeper (sweeper.h) sees to it that nothing
 * is left, also when the supervisor is gone.
 */
#ifndef SUPERVISOR_PROCESS_FAMILY_H
#define SUPERVISOR_PROCESS_FAMILY_H

#include "supervisor/objects/endpoint.h"
#include "supervisor/process/cgroup.h"
#include "supervisor/process/cpu_time.h"
#include "supervisor/process/memory_kills.h"
#include "supervisor/process/throttle.h"

#include <sys/types.h>

struct station;
struct worker;
struct rpc_spawn;
struct families;

/* In struct worker. */
struct family {
    bool has_group;
    struct endpoint_limits born_with; /* until it has said its own */
    struct endpoint_limits limits;    /* in force */
    struct cpu_time cpu;              /* of the turn that runs */
    struct throttle throttle;         /* less of the processors, for a while */
    struct memory_kills kills;        /* of what it has started */
};

/*
 * Before any other process is started: finds the groups, and says in the log what can be used. Dies
 * when the configuration requires what is not there.
 */
struct families *families_new(const struct config *config);
/* Ends what an earlier start left behind, which may take a moment, and starts the sweeper. */
void families_start(struct station *station);
/* Waits until the sweeper has ended what is left. */
void families_free(struct families *families);
const struct cgroups *families_groups(const struct families *families);
/* Why not everything is done by groups; "" when it is. */
const char *families_why_not(const struct families *families);
struct sweeper *families_sweeper(const struct families *families);

/*
 * Makes the groups of a worker that is about to be asked for, and fills in what the child is to do;
 * *folder and *tasks hold texts of m. Without a group it is only limited and marked.
 */
void family_prepare(struct worker *w, struct rpc_spawn *m, struct buf *folder, struct buf *tasks);
/*
 * SIGKILL to all of them, at once. May be called again, also while the worker is a zombie; nothing
 * when it was never forked. Does not change the worker's state: that is worker_kill().
 */
void family_kill(struct worker *w);
/* The worker is reaped, or was never born: blames it where it ran out of memory, and leaves what
 * is left of its family to the sweeper. */
void family_bury(struct worker *w, int wait_status);

#endif
