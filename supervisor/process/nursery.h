// SPDX-License-Identifier: Apache-2.0
/*
 * nursery - the process that forks workers: which one is asked, started again (with backoff) when
 * it dies, replaced by another one at a reload. Spawn requests wait while it is down.
 */
#ifndef SUPERVISOR_PROCESS_NURSERY_H
#define SUPERVISOR_PROCESS_NURSERY_H

#include "common/worker_fds.h"
#include "supervisor/config.h"
#include "supervisor/process/process_end.h"
#include "supervisor/process/worker.h"

struct nursery;

/* Starts it; dies when the program cannot be started at all. */
struct nursery *nursery_new(struct station *station);
/* Ends the processes and frees. */
void nursery_free(struct nursery *nursery);
/*
 * Asks for a fork; fds (enum spawn_fd) are taken over in any case. The answer comes as
 * worker_spawned or worker_spawn_failed. 0 or -errno.
 */
int nursery_spawn(struct nursery *nursery, struct worker_ref ref, const int fds[SPAWN_FDS]);
/* Takes a request back that was not sent yet; false when it was, or never was one. */
bool nursery_cancel(struct nursery *nursery, struct worker_ref ref);
/* Of the one that is asked; 0 when it is down. */
pid_t nursery_pid(const struct nursery *nursery);
/* One may have forked a worker whose pid it has not told yet. */
bool nursery_owes_pid(const struct nursery *nursery);
/* Python is up in it. */
bool nursery_ready(const struct nursery *nursery);

/*
 * Starts another one, as config says, beside the one that is asked. Later ready(arg, NULL) says
 * that Python is up in it, or ready(arg, why) that it never will be; then it is gone. 0 or -errno.
 */
int nursery_warm(struct nursery *nursery, const struct config *config,
                 void (*ready)(void *arg, const char *why), void *arg);
/* The warm one is asked from now on; the other ends once it has answered what it was asked. */
void nursery_switch(struct nursery *nursery);
/* Ends the one that warms up, without a word to ready(). */
void nursery_cool(struct nursery *nursery);

/* For the reaper: a process of it for which is(pid) holds, or 0. */
pid_t nursery_find(const struct nursery *nursery, bool (*is)(pid_t pid));
bool nursery_has(const struct nursery *nursery, pid_t pid);
void nursery_exited(struct nursery *nursery, pid_t pid, const struct process_end *end);

#endif
