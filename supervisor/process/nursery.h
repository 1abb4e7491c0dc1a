// SPDX-License-Identifier: Apache-2.0
/*
 * nursery - the supervisor's end of the process that forks workers: started by fork and exec, asked
 * over a channel, started again (with backoff) when it dies. Spawn requests wait while it is down.
 * One that owes answers and gives none for a third of workers.start_timeout is killed.
 */
#ifndef SUPERVISOR_PROCESS_NURSERY_H
#define SUPERVISOR_PROCESS_NURSERY_H

#include "common/worker_fds.h"
#include "supervisor/process/worker.h"

struct nursery;

/* Starts it; dies when the program cannot be started at all. */
struct nursery *nursery_new(struct station *station);
/* Ends the process and frees. */
void nursery_free(struct nursery *nursery);
/*
 * Asks for a fork; fds (enum spawn_fd) are taken over in any case. The answer comes as
 * worker_spawned or worker_spawn_failed. 0 or -errno.
 */
int nursery_spawn(struct nursery *nursery, struct worker_ref ref, const int fds[SPAWN_FDS]);
/* Takes a request back that was not sent yet; false when it was, or never was one. */
bool nursery_cancel(struct nursery *nursery, struct worker_ref ref);
/* 0 when it is down. */
pid_t nursery_pid(const struct nursery *nursery);
/* It may have forked a worker whose pid it has not told yet. */
bool nursery_owes_pid(const struct nursery *nursery);
/* Python is up in it. */
bool nursery_ready(const struct nursery *nursery);
/* For the reaper. */
void nursery_exited(struct nursery *nursery, int wait_status);

#endif
