// SPDX-License-Identifier: Apache-2.0
/* links: common/state_file.c supervisor/scribe/sorted_state.c common/json_scan.c common/json_text.c
 * common/tsv.c common/buf.c common/codec.c common/utf8.c */
/*
 * Any bytes as a checkpoint: reading ends, entries keep the promises of state_file.h, and what is
 * written from them reads back the same, in the order of keys.
 */
#include "common/json_scan.h"
#include "common/utf8.h"
#include "supervisor/scribe/sorted_state.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int memory_file;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool same(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void check_promises(const struct state_file *f, const struct state_file_entry *e)
{
    require(e->key.len > 0);
    require(e->is_tombstone == (e->value.len == 0));
    require(!f->is_legacy || (!e->is_tombstone && json_scan_valid(e->value)));
    require(f->is_legacy || utf8_valid(e->key.data, e->key.len));
}

/* Every line, bad ones included; true when there was none of those. */
static bool read_all(void)
{
    struct state_file f;
    struct state_file_entry e;
    bool clean = true;
    int got = state_file_open(&f, memory_file);
    if (got == 0)
        got = state_file_next(&f, &e);
    else
        clean = false;
    for (uint64_t line = 0; got == 1 || got == -EBADMSG; got = state_file_next(&f, &e)) {
        require(got == 1 || *f.error);
        require(f.line >= line);
        line = f.line;
        if (got == 1)
            check_promises(&f, &e);
        clean = clean && got == 1;
    }
    require(got == 0);
    state_file_close(&f);
    return clean;
}

static int sort_into(struct sorted_state *s)
{
    int err = sorted_state_open(s, memory_file, true);
    require(err == 0 || err == -EBADMSG);
    return err;
}

static void round_trip(void)
{
    struct sorted_state first, again;
    struct state_file_entry a, b;
    struct state_file_writer w;
    int copy = memfd_create("copy", 0), got;
    require(sort_into(&first) == 0);
    state_file_write_begin(&w, copy, first.file.watermark);
    while ((got = sorted_state_next(&first, &a)) == 1)
        state_file_write_entry(&w, a.key, a.value, a.timestamp);
    require(got == 0 && state_file_write_end(&w) == 0);
    first.next = 0;
    require(sorted_state_open(&again, copy, false) == 0);
    require(!again.file.is_legacy && again.file.watermark == first.file.watermark);
    while (sorted_state_next(&first, &a) == 1) {
        require(sorted_state_next(&again, &b) == 1);
        require(same(a.key, b.key) && same(a.value, b.value) && same(a.timestamp, b.timestamp));
    }
    require(sorted_state_next(&again, &b) == 0);
    sorted_state_close(&first);
    sorted_state_close(&again);
    close(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (memory_file == 0)
        memory_file = memfd_create("state", 0);
    require(ftruncate(memory_file, 0) == 0);
    require(pwrite(memory_file, data, size, 0) == (ssize_t)size);
    if (read_all())
        round_trip();
    state_file_is_number((const char *)data, size);
    return 0;
}
