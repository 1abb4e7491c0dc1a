// SPDX-License-Identifier: Apache-2.0
/*
 * state_base - the keys and values of a checkpoint, as they came, found by hash.
 *
 * A million keys are taken in within a tenth of a second and in little more memory than the file;
 * what is used of them becomes Python objects one by one (py_state_copy.c). First all entries are
 * added, then the index is built, then they are looked up; a key given twice has its last value.
 * One thread.
 */
#ifndef WORKER_STATE_BASE_H
#define WORKER_STATE_BASE_H

#include "common/codec.h"

#include <stdint.h>

struct state_base_slot {
    uint32_t hash;
    uint32_t record; /* position in `records`, in units of 8 bytes; 0: free */
};

struct state_base {
    size_t count; /* keys, once indexed; entries before */
    struct buf records;
    struct state_base_slot *slots;
    size_t slot_count; /* a power of two, or 0 */
};

/* Room for a checkpoint of that many bytes; only a hint. */
void state_base_reserve(struct state_base *b, uint64_t file_size);
/* Copies both. 0, -ENOMEM, or -EFBIG above 32 GiB. */
int state_base_add(struct state_base *b, struct span key, struct span value);
/* Builds the index; nothing may be added after it. 0 or -ENOMEM. */
int state_base_index(struct state_base *b);
/* The value, borrowed; false when there is none. */
bool state_base_find(const struct state_base *b, struct span key, struct span *value);
/* Walks over all keys in the order of adding: *at begins at 0; false at the end. */
bool state_base_next(const struct state_base *b, size_t *at, struct span *key, struct span *value);
void state_base_free(struct state_base *b);

#endif
