// SPDX-License-Identifier: Apache-2.0
#include "worker/state_base.h"

#include "common/seeded_hash.h"

#include <errno.h>
#include <stdlib.h>

enum { UNIT = 8, FIRST_SLOTS = 16, AHEAD = 16 /* records whose slot is fetched early */ };

/* What lies at a record's position; key and value follow. */
struct record {
    uint32_t key_len;
    uint32_t value_len;
    uint32_t hash;
    bool is_replaced; /* a later record has the same key */
};

static struct span key_of(const struct record *r)
{
    return (struct span){(const char *)(r + 1), r->key_len};
}

static struct span value_of(const struct record *r)
{
    return (struct span){(const char *)(r + 1) + r->key_len, r->value_len};
}

static struct record *record_at(const struct state_base *b, uint32_t position)
{
    return (struct record *)(void *)(b->records.data + (size_t)position * UNIT);
}

static size_t size_of(const struct record *r)
{
    size_t size = sizeof(*r) + r->key_len + (size_t)r->value_len;
    return (size + UNIT - 1) / UNIT * UNIT;
}

void state_base_reserve(struct state_base *b, uint64_t file_size)
{
    if (!buf_reserve(&b->records, file_size))
        b->records.failed = false; /* growing bit by bit may still work */
}

/* The slot of a key, or the free one where it belongs. There is always a free one. */
static struct state_base_slot *slot_of(const struct state_base *b, struct span key, uint32_t hash)
{
    size_t at = hash & (b->slot_count - 1);
    for (;; at = (at + 1) & (b->slot_count - 1)) {
        struct state_base_slot *slot = &b->slots[at];
        if (slot->record == 0)
            return slot;
        if (slot->hash != hash)
            continue;
        struct span other = key_of(record_at(b, slot->record));
        if (other.len == key.len && memcmp(other.data, key.data, key.len) == 0)
            return slot;
    }
}

int state_base_add(struct state_base *b, struct span key, struct span value)
{
    static const char padding[UNIT];
    if (b->records.len == 0)
        buf_append(&b->records, padding, UNIT); /* position 0 means free */
    if (b->records.len / UNIT > UINT32_MAX || key.len > UINT32_MAX || value.len > UINT32_MAX)
        return -EFBIG;
    struct record r = {.key_len = (uint32_t)key.len,
                       .value_len = (uint32_t)value.len,
                       .hash = seeded_hash(key.data, key.len)};
    buf_append(&b->records, &r, sizeof(r));
    buf_append(&b->records, key.data, key.len);
    buf_append(&b->records, value.data, value.len);
    buf_append(&b->records, padding, size_of(&r) - sizeof(r) - key.len - value.len);
    b->count++;
    return buf_ok(&b->records) ? 0 : -ENOMEM;
}

static void index_record(struct state_base *b, size_t offset)
{
    const struct record *r = record_at(b, (uint32_t)(offset / UNIT));
    struct state_base_slot *slot = slot_of(b, key_of(r), r->hash);
    if (slot->record != 0) {
        record_at(b, slot->record)->is_replaced = true;
        b->count--;
    }
    *slot = (struct state_base_slot){r->hash, (uint32_t)(offset / UNIT)};
}

int state_base_index(struct state_base *b)
{
    size_t slot_count = FIRST_SLOTS, fetched = UNIT, ahead = 0;
    while (slot_count < b->count * 2)
        slot_count *= 2;
    b->slots = calloc(slot_count, sizeof(*b->slots));
    if (!b->slots)
        return -ENOMEM;
    b->slot_count = slot_count;
    for (size_t at = UNIT; at < b->records.len; ahead--) {
        /* Each slot is somewhere else in a large table: waiting for one after the other would be
         * most of the time of a load. */
        for (; ahead < AHEAD && fetched < b->records.len; ahead++) {
            const struct record *r = record_at(b, (uint32_t)(fetched / UNIT));
            __builtin_prefetch(&b->slots[r->hash & (slot_count - 1)], 1);
            fetched += size_of(r);
        }
        index_record(b, at);
        at += size_of(record_at(b, (uint32_t)(at / UNIT)));
    }
    return 0;
}

bool state_base_find(const struct state_base *b, struct span key, struct span *value)
{
    if (b->slot_count == 0)
        return false;
    const struct state_base_slot *slot = slot_of(b, key, seeded_hash(key.data, key.len));
    if (slot->record == 0)
        return false;
    *value = value_of(record_at(b, slot->record));
    return true;
}

bool state_base_next(const struct state_base *b, size_t *at, struct span *key, struct span *value)
{
    if (*at == 0)
        *at = UNIT;
    while (*at < b->records.len) {
        const struct record *r = record_at(b, (uint32_t)(*at / UNIT));
        *at += size_of(r);
        if (r->is_replaced)
            continue;
        *key = key_of(r);
        *value = value_of(r);
        return true;
    }
    return false;
}

void state_base_free(struct state_base *b)
{
    buf_free(&b->records);
    free(b->slots);
    *b = (struct state_base){0};
}
