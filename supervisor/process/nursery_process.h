// SPDX-License-Identifier: Apache-2.0
/*
 * nursery_process - the supervisor's end of one nursery process: asked for forks over a channel, it
 * answers with pids. One that owes answers and gives none for a third of workers.start_timeout is
 * killed. Which process is asked is decided in nursery.c. Loop thread.
 */
#ifndef SUPERVISOR_PROCESS_NURSERY_PROCESS_H
#define SUPERVISOR_PROCESS_NURSERY_PROCESS_H

#include "common/worker_fds.h"
#include "supervisor/config.h"
#include "supervisor/process/worker.h"

/* A request for a fork; its descriptors are its own until it was sent. */
struct spawn {
    struct spawn *next;
    struct worker_ref ref;
    int fds[SPAWN_FDS]; /* -1 once sent */
};

struct nursery_process {
    struct nursery_process *next; /* nursery.c's list */
    struct station *station;
    pid_t pid;
    uint64_t born_ns;
    struct channel channel;
    struct loop_source *source; /* NULL: it is of no use any more */
    struct loop_timer patience; /* runs while answers are owed */
    struct spawn *sent;         /* unanswered */
    void (*heard)(struct nursery_process *p, void *arg);
    void *arg;
};

/*
 * Starts the program with the virtual environment that config names; heard(p, arg) is called after
 * each message of it and when it was given up. NULL and *error (-errno) when it cannot be started.
 */
struct nursery_process *nursery_process_new(struct station *station, const struct config *config,
                                            void (*heard)(struct nursery_process *p, void *arg),
                                            void *arg, int *error);
/* Takes the list of spawns; those that cannot be sent are answered as failed. */
void nursery_process_ask(struct nursery_process *p, struct spawn *list);
/* Python is up in it. */
bool nursery_process_ready(const struct nursery_process *p);
/* Kills it; what it owes is answered when it is reaped. */
void nursery_process_end(struct nursery_process *p);
/* It was reaped: hears its last answers, gives up what it still owes, and frees. */
void nursery_process_reaped(struct nursery_process *p);
/* Ends the process, waits for it and frees; nobody is told of what it owes. */
void nursery_process_free(struct nursery_process *p);

void spawn_free(struct spawn *s);

#endif
