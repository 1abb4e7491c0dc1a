// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/state/segment.c supervisor/state/record.c common/buf.c common/codec.c
 * common/rpc.c common/file_store.c common/utf8.c common/tsv.c -lxxhash */
/*
 * fuzz_journal - a journal segment of any content: the scan ends, stays inside, and what it accepts
 * is what its own rules say.
 *
 * The first 8 bytes are the first sequence number. Checksums cannot be guessed, so lines of the
 * form
 * "@begin…" get theirs filled in before the scan: the fuzzer reaches what lies behind them.
 */
#include "supervisor/state/record.h"
#include "supervisor/state/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { HEAD = 8, SUM = 16 };

/* The line loses its '@' and gets the checksum of its kind. */
static void put_signed(struct buf *out, struct span line, const struct record_seeds *seeds)
{
    size_t start = out->len;
    buf_append(out, line.data, line.len);
    buf_putc(out, '\t');
    if (!buf_ok(out))
        abort();
    struct span text = {out->data + start, out->len - start};
    bool control =
        memmem(text.data, text.len, "\theader\t", 8) || memmem(text.data, text.len, "\tbatch\t", 7);
    char sum[SUM + 1];
    snprintf(sum, sizeof(sum), "%016llx",
             (unsigned long long)XXH3_64bits_withSeed(text.data, text.len,
                                                      control ? seeds->control : seeds->turn));
    buf_append(out, sum, SUM);
}

static void sign_lines(struct buf *out, struct span in, const struct record_seeds *seeds)
{
    while (in.len) {
        const char *newline = memchr(in.data, '\n', in.len);
        struct span line = {in.data, newline ? (size_t)(newline - in.data) : in.len};
        if (line.len && line.data[0] == '@')
            put_signed(out, (struct span){line.data + 1, line.len - 1}, seeds);
        else
            buf_append(out, line.data, line.len);
        if (newline)
            buf_putc(out, '\n');
        size_t used = line.len + (newline != NULL);
        in = (struct span){in.data + used, in.len - used};
    }
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void touch(struct span s)
{
    static volatile char sink;
    for (size_t i = 0; i < s.len; i++)
        sink = s.data[i];
    (void)sink;
}

static void read_turn(struct segment_scan *scan, uint64_t previous)
{
    const struct segment_write *writes;
    size_t count;
    check(scan->turn.seq == previous + 1);
    check(segment_scan_writes(scan, &writes, &count) == 0);
    touch(scan->turn.object_id);
    for (size_t i = 0; i < count; i++) {
        touch(writes[i].key);
        touch(writes[i].value);
    }
}

static void scan_all(struct span content, uint64_t first_seq)
{
    struct segment_scan scan;
    segment_scan_init(&scan, content, first_seq);
    for (;;) {
        size_t before = scan.pos;
        uint64_t previous = scan.last_seq;
        enum segment_item item = segment_scan_next(&scan);
        check(scan.pos <= content.len);
        if (item == SEGMENT_TURN)
            read_turn(&scan, previous);
        if (item != SEGMENT_TURN && item != SEGMENT_CONTROL) {
            check(item == SEGMENT_END || (scan.problem && scan.problem_at <= content.len));
            check(segment_scan_rest(&scan) <= content.len - scan.pos);
            break;
        }
        check(scan.pos > before);
    }
    struct record_position claim;
    segment_find_claim(content, first_seq, scan.pos, &claim);
    segment_find_claim(content, first_seq, 0, &claim);
    segment_scan_free(&scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t first_seq;
    if (size < HEAD)
        return 0;
    memcpy(&first_seq, data, HEAD);
    struct span raw = {(const char *)data + HEAD, size - HEAD};
    scan_all(raw, first_seq);
    struct record_seeds seeds = record_seeds_of(first_seq, 1);
    struct buf text = BUF_INIT;
    sign_lines(&text, raw, &seeds);
    /* A copy of exactly this size: a read beyond it is seen. */
    char *copy = malloc(text.len + 1);
    if (!copy)
        abort();
    if (text.len)
        memcpy(copy, text.data, text.len);
    copy = realloc(copy, text.len ? text.len : 1);
    scan_all((struct span){copy, text.len}, first_seq);
    free(copy);
    buf_free(&text);
    return 0;
}
