// SPDX-License-Identifier: Apache-2.0
/*
 * object_state - what the store knows of one object. Internal to supervisor/state.
 *
 * The state is the checkpoint file overlaid by `frozen` (what a checkpoint under way takes in),
 * overlaid by `active`. An object with anything in either is dirty and stands in the list of dirty
 * objects, which is ordered by the first record that its checkpoint lacks.
 */
#ifndef SUPERVISOR_STATE_OBJECT_STATE_H
#define SUPERVISOR_STATE_OBJECT_STATE_H

#include "common/seeded_hash.h"
#include "supervisor/state/memtable.h"

struct object_state {
    UT_hash_handle hh;
    char *id;
    struct memtable active, frozen;
    uint64_t newest;                      /* newest accepted record; 0 none since the start */
    uint64_t frozen_seq;                  /* `frozen` is complete up to this one */
    uint64_t watermark;                   /* the checkpoint file is */
    uint64_t file_bytes;                  /* of the checkpoint file; 0: none */
    uint64_t keys;                        /* in the checkpoint file, about */
    uint64_t active_since_ns, written_ns; /* first and last write into `active`, monotonic */
    uint64_t retry_ns;                    /* no checkpoint before; after a failure */
    bool in_flight;                       /* part of the present batch of checkpoints */
    bool is_dirty;
    bool file_read;                   /* watermark, file_bytes and keys are known */
    int file_err; /* the file could not be read in recovery: -errno, and the object is refused */
    struct object_state *prev, *next; /* dirty list */
};

static inline uint64_t object_state_first_dirty(const struct object_state *o)
{
    return memtable_empty(&o->frozen) ? o->active.first_seq : o->frozen.first_seq;
}

/* data_dir/state/<id>/state.tsv opened for reading: descriptor, -ENOENT or another -errno. */
int object_state_open_file(const char *data_dir, const char *id);
/*
 * Reads watermark, size and number of keys of the checkpoint file, once. 0 (also without a file) or
 * -errno, logged; -EBADMSG when its first line is damaged.
 */
int object_state_read_file(struct object_state *o, const char *data_dir);
/* Size and number of keys anew, after a checkpoint. */
void object_state_resized(struct object_state *o, const char *data_dir, uint64_t keys);

#endif
