// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/overlay.h"

#include "common/rpc.h"
#include "common/seeded_hash.h"
#include "supervisor/scribe/sorted_state.h"

#include <errno.h>
#include <stdlib.h>

struct overlay_entry {
    UT_hash_handle hh;
    uint64_t stamp;
    char *value;
    size_t value_len, value_cap;
    size_t key_len;
    char key[];
};

static struct overlay_entry *add_entry(struct overlay *o, struct span key)
{
    struct overlay_entry *e = malloc(sizeof(*e) + key.len);
    if (!e)
        return NULL;
    *e = (struct overlay_entry){.key_len = key.len};
    memcpy(e->key, key.data, key.len);
    HASH_ADD_KEYPTR(hh, o->table, e->key, e->key_len, e);
    if (!e->hh.tbl) { /* uthash had no memory for it */
        free(e);
        return NULL;
    }
    o->count++;
    return e;
}

static int set_value(struct overlay_entry *e, struct span value)
{
    if (value.len > e->value_cap) {
        char *grown = realloc(e->value, value.len);
        if (!grown)
            return -ENOMEM;
        e->value = grown;
        e->value_cap = value.len;
    }
    if (value.len > 0)
        memcpy(e->value, value.data, value.len);
    e->value_len = value.len;
    return 0;
}

int overlay_put(struct overlay *o, struct span key, struct span value, uint64_t stamp)
{
    struct overlay_entry *e;
    HASH_FIND(hh, o->table, key.data, key.len, e);
    if (!e)
        e = add_entry(o, key);
    if (!e)
        return -ENOMEM;
    e->stamp = stamp;
    return set_value(e, value);
}

int overlay_put_writes(struct overlay *o, struct span writes, uint64_t stamp)
{
    struct codec_reader r = codec_reader_of(writes.data, writes.len);
    struct rpc_write w;
    while (rpc_write_next(&r, &w)) {
        int err = overlay_put(o, w.key, w.value, stamp);
        if (err)
            return err;
    }
    return codec_finish(&r) ? 0 : -EBADMSG;
}

static int compare_entries(const void *a, const void *b)
{
    const struct overlay_entry *x = *(struct overlay_entry *const *)a;
    const struct overlay_entry *y = *(struct overlay_entry *const *)b;
    return sorted_state_compare((struct span){x->key, x->key_len},
                                (struct span){y->key, y->key_len});
}

int overlay_sort(struct overlay *o)
{
    size_t i = 0;
    if (o->count == 0)
        return 0;
    o->sorted = malloc(o->count * sizeof(struct overlay_entry *));
    if (!o->sorted)
        return -ENOMEM;
    for (struct overlay_entry *e = o->table; e; e = e->hh.next)
        o->sorted[i++] = e;
    qsort(o->sorted, o->count, sizeof(struct overlay_entry *), compare_entries);
    return 0;
}

void overlay_free(struct overlay *o)
{
    struct overlay_entry *e = o->table, *next;
    HASH_CLEAR(hh, o->table);
    for (; e; e = next) {
        next = e->hh.next; /* HASH_CLEAR leaves the entries and their chain alone */
        free(e->value);
        free(e);
    }
    free(o->sorted);
    *o = (struct overlay){0};
}

struct span overlay_key(const struct overlay *o, size_t i)
{
    return (struct span){o->sorted[i]->key, o->sorted[i]->key_len};
}

struct span overlay_value(const struct overlay *o, size_t i)
{
    return (struct span){o->sorted[i]->value, o->sorted[i]->value_len};
}

uint64_t overlay_stamp(const struct overlay *o, size_t i)
{
    return o->sorted[i]->stamp;
}
