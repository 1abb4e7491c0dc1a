// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/sorted_state.h"

#include <errno.h>
#include <stdlib.h>

/* Offsets, for `bytes` moves while it grows. */
struct sorted_entry {
    size_t at; /* of key, value, timestamp, one behind the other */
    size_t key_len, value_len, timestamp_len;
    const char *base; /* of bytes, set before sorting */
};

int sorted_state_compare(struct span a, struct span b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static struct span key_of(const struct sorted_entry *e)
{
    return (struct span){e->base + e->at, e->key_len};
}

/* By key, then by place in the file. */
static int compare_entries(const void *a, const void *b)
{
    const struct sorted_entry *x = a, *y = b;
    int order = sorted_state_compare(key_of(x), key_of(y));
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static int load_entry(struct sorted_state *s, const struct state_file_entry *e)
{
    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 1024;
        struct sorted_entry *grown = realloc(s->entries, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        s->entries = grown;
        s->cap = cap;
    }
    s->entries[s->count++] = (struct sorted_entry){
        .at = s->bytes.len,
        .key_len = e->key.len,
        .value_len = e->value.len,
        .timestamp_len = e->timestamp.len,
    };
    buf_append(&s->bytes, e->key.data, e->key.len);
    buf_append(&s->bytes, e->value.data, e->value.len);
    buf_append(&s->bytes, e->timestamp.data, e->timestamp.len);
    return buf_ok(&s->bytes) ? 0 : -ENOMEM;
}

static void drop_older(struct sorted_state *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        bool is_newest = i + 1 == s->count ||
                         sorted_state_compare(key_of(&s->entries[i]), key_of(&s->entries[i + 1]));
        if (is_newest)
            s->entries[kept++] = s->entries[i];
    }
    s->count = kept;
}

static int load(struct sorted_state *s)
{
    struct state_file_entry e;
    int got, err = 0;
    while (!err && (got = state_file_next(&s->file, &e)) != 0)
        err = got < 0 ? got : load_entry(s, &e);
    if (err)
        return err;
    for (size_t i = 0; i < s->count; i++)
        s->entries[i].base = s->bytes.data;
    if (s->count > 0)
        qsort(s->entries, s->count, sizeof(*s->entries), compare_entries);
    drop_older(s);
    return 0;
}

int sorted_state_open(struct sorted_state *s, int fd, bool sort)
{
    *s = (struct sorted_state){0};
    if (fd < 0) {
        s->is_loaded = true;
        return 0;
    }
    int err = state_file_open(&s->file, fd);
    if (err)
        return err;
    s->is_loaded = sort || s->file.is_legacy;
    return s->is_loaded ? load(s) : 0;
}

static int next_loaded(struct sorted_state *s, struct state_file_entry *e)
{
    if (s->next == s->count)
        return 0;
    const struct sorted_entry *at = &s->entries[s->next++];
    const char *value = at->base + at->at + at->key_len;
    *e = (struct state_file_entry){
        .key = key_of(at),
        .value = {value, at->value_len},
        .timestamp = {value + at->value_len, at->timestamp_len},
        .is_tombstone = at->value_len == 0,
    };
    return 1;
}

int sorted_state_next(struct sorted_state *s, struct state_file_entry *e)
{
    if (s->is_loaded)
        return next_loaded(s, e);
    int got = state_file_next(&s->file, e);
    if (got <= 0)
        return got;
    struct span last = {s->last_key.data, s->last_key.len};
    if (sorted_state_compare(last, e->key) >= 0)
        return -EILSEQ;
    buf_reset(&s->last_key, SIZE_MAX);
    buf_append(&s->last_key, e->key.data, e->key.len);
    return buf_ok(&s->last_key) ? 1 : -ENOMEM;
}

void sorted_state_close(struct sorted_state *s)
{
    state_file_close(&s->file);
    buf_free(&s->last_key);
    buf_free(&s->bytes);
    free(s->entries);
    *s = (struct sorted_state){.is_loaded = true};
}
