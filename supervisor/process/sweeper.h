// SPDX-License-Identifier: Apache-2.0
/*
 * sweeper - objectd-sweeper, a small process that ends what workers leave behind. It outlives the
 * supervisor by a moment: when the socket between them closes or the supervisor is dead, however it
 * ended, it ends every worker's family, removes the groups, and exits.
 *
 * Here is the supervisor's end of it. Started again with backoff when it dies; what it owed then is
 * made up for at the end of the station.
 */
#ifndef SUPERVISOR_PROCESS_SWEEPER_H
#define SUPERVISOR_PROCESS_SWEEPER_H

#include "supervisor/process/cgroup.h"
#include "supervisor/process/process_end.h"

#include <sys/types.h>

#define SWEEPER_PROGRAM_NAME "objectd-sweeper"

struct station;
struct sweeper;

/* groups are borrowed. Dies when memory is short; a process that does not start is tried again. */
struct sweeper *sweeper_new(struct station *station, const struct cgroups *groups, uint64_t mark);
/* Closes the socket and waits for the process, not for long. */
void sweeper_free(struct sweeper *sweeper);
/* That worker is dead and reaped: its group is to go with all that is in it. */
void sweeper_bury(struct sweeper *sweeper, uint64_t generation);
pid_t sweeper_pid(const struct sweeper *sweeper); /* 0 when it is down */
/* For the reaper. */
void sweeper_exited(struct sweeper *sweeper, const struct process_end *end);

/* Of the group of a worker. */
void sweeper_group_name(char name[CGROUP_NAME_SIZE], uint64_t boot, uint64_t generation);

/* The process itself: argv as sweeper.c makes it. Returns the exit code. */
int sweeper_main(int argc, char **argv);

#endif
