// SPDX-License-Identifier: Apache-2.0
/*
 * worker_private - what the files of the child table share: worker_table.c (slots, lists),
 * worker_spawn.c (birth), worker_frames.c (what it says), worker.c (its states and its death).
 */
#ifndef SUPERVISOR_PROCESS_WORKER_PRIVATE_H
#define SUPERVISOR_PROCESS_WORKER_PRIVATE_H

#include "supervisor/process/worker.h"

enum { WORKER_PID_BUCKETS = 1024 };

struct worker_table {
    struct station *station;
    struct worker_hooks hooks;
    struct worker **slots; /* NULL: free */
    size_t slot_count;
    uint64_t last_generation;
    struct worker *by_pid[WORKER_PID_BUCKETS]; /* chains; nothing to be allocated at a fork */
    size_t forked;                             /* in those chains */
    struct worker *dirty;
    struct worker *first_busy;
};

/* worker_table.c */
struct worker *worker_slot_take(struct worker_table *table); /* NULL: no memory */
void worker_slot_free(struct worker *w);
void worker_set_pid(struct worker *w, pid_t pid); /* once */
void worker_set_busy(struct worker *w, bool busy);

/* worker_frames.c */
int worker_watch_channel(struct worker *w); /* 0 or -errno */
/* Its socket is of no use any more: a worker without one is killed. */
void worker_lose_channel(struct worker *w);
/* Handles every whole frame that was received; false: what follows counts no more, or it is gone. */
bool worker_handle_frames(struct worker *w);
void worker_blame_protocol(struct worker *w, const char *reason);

#endif
