// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/memtable.h"

#include "common/seeded_hash.h"

#include <stdlib.h>

/*
 * A table of our own, open-addressed: with chains, replaying a million keys spent two thirds of its
 * time waiting for memory, and the handles were half of what a small key costs.
 */
struct memtable_slot {
    struct memtable_entry *entry; /* NULL: free */
    uint32_t hash;
};

struct memtable_entry {
    struct memtable_entry *next; /* in the order in which keys came */
    char *value;
    uint32_t value_len, value_cap;
    uint32_t key_len;
    uint8_t op; /* enum rpc_write_op; 0: only reserved */
    char key[];
};

enum { SLOTS_FIRST = 8 };

/* The key's slot, or the free one where it belongs. There is always a free one. */
static struct memtable_slot *slot_of(const struct memtable *m, struct span key, uint32_t hash)
{
    size_t at = hash & (m->slot_count - 1);
    for (;; at = (at + 1) & (m->slot_count - 1)) {
        struct memtable_slot *slot = &m->slots[at];
        if (!slot->entry || (slot->hash == hash && slot->entry->key_len == key.len &&
                             memcmp(slot->entry->key, key.data, key.len) == 0))
            return slot;
    }
}

static bool grow_slots(struct memtable *m)
{
    size_t count = m->slot_count ? m->slot_count * 2 : SLOTS_FIRST;
    struct memtable_slot *slots = calloc(count, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < m->slot_count; i++) {
        if (!m->slots[i].entry)
            continue;
        size_t at = m->slots[i].hash & (count - 1);
        while (slots[at].entry)
            at = (at + 1) & (count - 1);
        slots[at] = m->slots[i];
    }
    free(m->slots);
    m->slots = slots;
    m->slot_count = count;
    return true;
}

static struct memtable_entry *add(struct memtable *m, struct span key, uint32_t hash, size_t room)
{
    /* At most five eighths full. */
    if (m->slots_used >= m->slot_count / 8 * 5 && !grow_slots(m))
        return NULL;
    size_t fixed = sizeof(struct memtable_entry) + key.len;
    struct memtable_entry *entry = arena_take(&m->arena, fixed + room);
    if (!entry)
        return NULL;
    *entry = (struct memtable_entry){
        .key_len = (uint32_t)key.len, .value = (char *)entry + fixed, .value_cap = (uint32_t)room};
    memcpy(entry->key, key.data, key.len);
    *slot_of(m, key, hash) = (struct memtable_slot){entry, hash};
    m->slots_used++;
    if (m->last)
        m->last->next = entry;
    else
        m->first = entry;
    m->last = entry;
    return entry;
}

static bool grow(struct memtable *m, struct memtable_entry *entry, size_t room)
{
    char *value = arena_take(&m->arena, room);
    if (!value)
        return false;
    memcpy(value, entry->value, entry->value_len);
    entry->value = value;
    entry->value_cap = (uint32_t)room;
    return true;
}

struct memtable_entry *memtable_reserve(struct memtable *m, struct span key, size_t value_len)
{
    enum { STEP = 16 };
    /* Half as much again when a value grows: what is left behind in the arena stays bounded. */
    if (key.len > UINT32_MAX / 4 || value_len > UINT32_MAX / 4)
        return NULL;
    uint32_t hash = seeded_hash(key.data, key.len);
    struct memtable_entry *entry = m->slot_count ? slot_of(m, key, hash)->entry : NULL;
    if (!entry)
        return add(m, key, hash, (value_len + STEP - 1) & ~(size_t)(STEP - 1));
    if (value_len > entry->value_cap && !grow(m, entry, value_len + value_len / 2 + STEP))
        return NULL;
    return entry;
}

void memtable_put(struct memtable *m, struct memtable_entry *entry, enum rpc_write_op op,
                  struct span value, uint64_t seq)
{
    if (entry->op == 0) {
        m->count++;
        m->bytes += entry->key_len;
    }
    m->bytes += value.len;
    m->bytes -= entry->value_len;
    if (m->first_seq == 0)
        m->first_seq = seq;
    entry->op = (uint8_t)op;
    entry->value_len = (uint32_t)value.len;
    if (value.len)
        memcpy(entry->value, value.data, value.len);
}

bool memtable_get(const struct memtable *m, struct span key, enum rpc_write_op *op,
                  struct span *value)
{
    if (m->slot_count == 0)
        return false;
    const struct memtable_entry *entry = slot_of(m, key, seeded_hash(key.data, key.len))->entry;
    if (!entry || entry->op == 0)
        return false;
    *op = entry->op;
    *value = (struct span){entry->value, entry->value_len};
    return true;
}

void memtable_encode(const struct memtable *m, struct buf *out)
{
    for (const struct memtable_entry *e = m->first; e; e = e->next) {
        if (e->op == 0)
            continue;
        rpc_write_encode(out, &(struct rpc_write){.op = e->op,
                                                  .key = {e->key, e->key_len},
                                                  .value = {e->value, e->value_len}});
    }
}

void memtable_clear(struct memtable *m)
{
    free(m->slots);
    arena_free(&m->arena);
    *m = (struct memtable){0};
}
