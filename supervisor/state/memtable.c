// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/memtable.h"

#include "common/seeded_hash.h"

/* Shorter chains than uthash's default: a lookup in a million keys is mostly cache misses. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 4U

struct memtable_entry {
    UT_hash_handle hh;
    char *value;
    uint32_t value_len, value_cap;
    uint32_t key_len;
    uint8_t op; /* enum rpc_write_op; 0: only reserved */
    char key[];
};

static struct memtable_entry *find(const struct memtable *m, struct span key, unsigned hash)
{
    struct memtable_entry *entry;
    HASH_FIND_BYHASHVALUE(hh, m->entries, key.data, key.len, hash, entry);
    return entry;
}

static struct memtable_entry *add(struct memtable *m, struct span key, unsigned hash, size_t room)
{
    size_t fixed = sizeof(struct memtable_entry) + key.len;
    struct memtable_entry *entry = arena_take(&m->arena, fixed + room);
    if (!entry)
        return NULL;
    *entry = (struct memtable_entry){
        .key_len = (uint32_t)key.len, .value = (char *)entry + fixed, .value_cap = (uint32_t)room};
    memcpy(entry->key, key.data, key.len);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, m->entries, entry->key, key.len, hash, entry);
    return entry->hh.tbl ? entry : NULL;
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
    unsigned hash = seeded_hash(key.data, key.len);
    struct memtable_entry *entry = find(m, key, hash);
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
    const struct memtable_entry *entry = find(m, key, seeded_hash(key.data, key.len));
    if (!entry || entry->op == 0)
        return false;
    *op = entry->op;
    *value = (struct span){entry->value, entry->value_len};
    return true;
}

void memtable_encode(const struct memtable *m, struct buf *out)
{
    for (const struct memtable_entry *e = m->entries; e; e = e->hh.next) {
        if (e->op == 0)
            continue;
        rpc_write_encode(out, &(struct rpc_write){.op = e->op,
                                                  .key = {e->key, e->key_len},
                                                  .value = {e->value, e->value_len}});
    }
}

void memtable_clear(struct memtable *m)
{
    HASH_CLEAR(hh, m->entries);
    arena_free(&m->arena);
    *m = (struct memtable){0};
}
