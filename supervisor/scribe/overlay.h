// SPDX-License-Identifier: Apache-2.0
/*
 * overlay - the newest value of every key written since a checkpoint, to be laid over it.
 *
 * Owns copies of all it is given. Memory grows with the number of keys, not of writes.
 */
#ifndef SUPERVISOR_SCRIBE_OVERLAY_H
#define SUPERVISOR_SCRIBE_OVERLAY_H

#include "common/codec.h"

struct overlay_entry;

struct overlay {
    struct overlay_entry *table;   /* by key */
    struct overlay_entry **sorted; /* after overlay_sort */
    size_t count;
};

/* Replaces what an earlier call gave for that key; an empty value deletes it. 0 or -ENOMEM. */
int overlay_put(struct overlay *o, struct span key, struct span value, uint64_t stamp);
/* As overlay_put for each of a sequence of encoded rpc_write. 0, -ENOMEM or -EBADMSG. */
int overlay_put_writes(struct overlay *o, struct span writes, uint64_t stamp);
/* Orders the entries by their keys' bytes, for overlay_at; puts are over. 0 or -ENOMEM. */
int overlay_sort(struct overlay *o);
void overlay_free(struct overlay *o);

/* Entry i in order: borrowed key and value (empty: deleted). i < count. */
struct span overlay_key(const struct overlay *o, size_t i);
struct span overlay_value(const struct overlay *o, size_t i);
uint64_t overlay_stamp(const struct overlay *o, size_t i);

#endif
