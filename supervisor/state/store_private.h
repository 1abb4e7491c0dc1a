// SPDX-License-Identifier: Apache-2.0
/*
 * store_private - what the files of store share.
 */
#ifndef SUPERVISOR_STATE_STORE_PRIVATE_H
#define SUPERVISOR_STATE_STORE_PRIVATE_H

#include "supervisor/state/checkpoint.h"
#include "supervisor/state/recovery.h"
#include "supervisor/state/store.h"

struct store {
    struct loop *loop;
    struct scribe *scribe;
    char *data_dir, *folder, *station;
    int data_fd, folder_fd;
    uint64_t boot;
    enum durability durability;
    uint64_t turn_writes_max;
    struct journal *journal;
    struct checkpoint *checkpoint;
    struct object_state *objects;
    struct memtable_entry **entries; /* of the turn being applied */
    size_t entries_cap;
    void (*on_durable)(void *arg);
    void *arg;
    struct file_redo *file_redo;
    struct timer_image *timers;
    uint64_t keep_from[STORE_KEEPERS];
    uint64_t journal_max;
    struct object_state *replayed; /* the object of the turn met during recovery */
    int replay_err;                /* why it could not be had */
};

/* The object of that id, made where it is not known. NULL when memory is short. */
struct object_state *store_object_get(struct store *store, struct span id);
/*
 * Brings the objects up to the end of the journal, cuts off a torn tail, and numbers this start.
 * Before store->journal is there. 0 or -errno with the reason in `error`.
 */
int store_recover(struct store *store, struct recovery *found, uint64_t *floor_seq, char *error,
                  size_t error_size);

#endif
