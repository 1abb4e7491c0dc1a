// SPDX-License-Identifier: Apache-2.0
/*
 * memtable - the newest accepted write of every key of one object since some point.
 *
 * A write is taken in two steps, so that a turn is applied whole or not at all: memtable_reserve()
 * for each of its keys may fail and leaves nothing visible behind; memtable_put() cannot fail.
 * Deletes are entries too: they hide what the checkpoint holds. Keys and values are copied into an
 * arena that is freed in bulk; writing a value that fits into the room of the old one allocates
 * nothing. Loop thread.
 */
#ifndef SUPERVISOR_STATE_MEMTABLE_H
#define SUPERVISOR_STATE_MEMTABLE_H

#include "common/rpc.h"
#include "supervisor/state/arena.h"

struct memtable_entry;
struct memtable_slot;

struct memtable {
    struct memtable_slot *slots;
    size_t slot_count; /* a power of two, or 0 */
    size_t slots_used;
    struct memtable_entry *first, *last;
    struct arena arena;
    uint64_t count;     /* entries that hold a write */
    uint64_t bytes;     /* of their keys and values */
    uint64_t first_seq; /* of the oldest write taken in; 0 when empty */
};

/* Makes room for a value of this length; the entry's present write stays. NULL: no memory. */
struct memtable_entry *memtable_reserve(struct memtable *m, struct span key, size_t value_len);
/* Replaces the entry's write; room for the value must have been reserved. */
void memtable_put(struct memtable *m, struct memtable_entry *entry, enum rpc_write_op op,
                  struct span value, uint64_t seq);
/* False when the key was not written. value is borrowed until the next change. */
bool memtable_get(const struct memtable *m, struct span key, enum rpc_write_op *op,
                  struct span *value);
/* Appends every write as encoded rpc_write, in the order in which keys first came. */
void memtable_encode(const struct memtable *m, struct buf *out);
static inline bool memtable_empty(const struct memtable *m)
{
    return m->count == 0;
}
/* Frees everything; the table is empty then. */
void memtable_clear(struct memtable *m);

#endif
