// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/state/record.c supervisor/state/segment.c common/buf.c common/codec.c
 * common/rpc.c common/file_store.c common/utf8.c common/tsv.c -lxxhash */
/* Journal lines: what is written is read back, whatever the bytes; anything else is refused. */
#include "common/rpc.h"
#include "supervisor/state/record.h"
#include "supervisor/state/segment.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { FIRST = 7, BOOT = 3 };
static const struct record_stamp header_stamp = {FIRST, 1700000000123456ull};

static struct span content_of(const struct buf *b)
{
    return (struct span){b->data, b->len};
}

static void put_header(struct buf *out)
{
    struct record_control header = {.boot = BOOT,
                                    .durable = {5, 99},
                                    .durable_seq = 6,
                                    .station = span_of("a\tstation"),
                                    .previous_seq = 6};
    record_put_header(out, header_stamp, &header);
}

static void put_turn(struct buf *out, uint64_t seq, const struct rpc_write *writes, uint32_t count)
{
    struct buf encoded = BUF_INIT;
    for (uint32_t i = 0; i < count; i++)
        rpc_write_encode(&encoded, &writes[i]);
    struct record_turn turn = {.object_id = span_of("demo/object"),
                               .request_id = span_of("r\t1"),
                               .writes = content_of(&encoded),
                               .write_count = count};
    record_put_turn(out, record_seeds_of(FIRST, BOOT).turn, (struct record_stamp){seq, 42}, &turn);
    buf_free(&encoded);
}

static void expect_writes(struct segment_scan *scan, const struct rpc_write *expected, size_t count)
{
    const struct segment_write *writes;
    size_t n;
    ck_assert_int_eq(segment_scan_next(scan), SEGMENT_TURN);
    ck_assert_int_eq(segment_scan_writes(scan, &writes, &n), 0);
    ck_assert_uint_eq(n, count);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(writes[i].op, expected[i].op);
        ck_assert_uint_eq(writes[i].key.len, expected[i].key.len);
        ck_assert_mem_eq(writes[i].key.data, expected[i].key.data, writes[i].key.len);
        ck_assert_uint_eq(writes[i].value.len, expected[i].value.len);
        if (writes[i].value.len)
            ck_assert_mem_eq(writes[i].value.data, expected[i].value.data, writes[i].value.len);
    }
}

static void round_trip(const struct rpc_write *writes, uint32_t count)
{
    struct buf text = BUF_INIT;
    put_header(&text);
    put_turn(&text, FIRST, writes, count);
    struct segment_scan scan;
    segment_scan_init(&scan, content_of(&text), FIRST);
    ck_assert_int_eq(segment_scan_next(&scan), SEGMENT_CONTROL);
    expect_writes(&scan, writes, count);
    ck_assert_int_eq(segment_scan_next(&scan), SEGMENT_END);
    segment_scan_free(&scan);
    buf_free(&text);
}

START_TEST(every_byte_round_trips_in_key_and_value)
{
    char key[3] = {'k', (char)_i, 'k'}, value[1] = {(char)_i};
    const struct rpc_write writes[] = {{RPC_WRITE_SET, {key, 3}, {value, 1}},
                                       {RPC_WRITE_SET, {value, 1}, {key, 3}},
                                       {RPC_WRITE_DELETE, {key, 3}, {"", 0}}};
    round_trip(writes, 3);
}
END_TEST

START_TEST(values_that_look_like_lines_round_trip)
{
    static const char *const values[] = {
        "\"a\tb\nc\\d\re\"",
        "\\t\\n\\\\",
        "\\",
        "\n\n\n",
        "8\t1.000001\tcommit\t0123456789abcdef\n",
        "{\"\xc3\xa9\":\"\xf0\x9f\x98\x80\"}",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const struct rpc_write write = {RPC_WRITE_SET, span_of(values[i]), span_of(values[i])};
        round_trip(&write, 1);
    }
    const struct rpc_write nul = {RPC_WRITE_SET, {"a\0b", 3}, {"\"\0\0\"", 4}};
    round_trip(&nul, 1);
}
END_TEST

START_TEST(a_large_value_and_many_keys_round_trip)
{
    enum { COUNT = 3000, LARGE = 3 * 1024 * 1024 };
    char *large = malloc(LARGE);
    memset(large, '\\', LARGE);
    const struct rpc_write one = {RPC_WRITE_SET, span_of("large"), {large, LARGE}};
    round_trip(&one, 1);
    struct rpc_write *writes = calloc(COUNT, sizeof(*writes));
    for (size_t i = 0; i < COUNT; i++)
        writes[i] = (struct rpc_write){RPC_WRITE_SET, {large, 1 + i % 97}, {"\t\n", 2}};
    round_trip(writes, COUNT);
    free(writes);
    free(large);
}
END_TEST

START_TEST(the_form_is_as_documented)
{
    struct buf text = BUF_INIT;
    const struct rpc_write write = {RPC_WRITE_SET, span_of("count"), span_of("41")};
    put_turn(&text, 8, &write, 1);
    char *lines = buf_take(&text, NULL), *rest = lines;
    static const char *const starts[] = {"8\t0.000042\tbegin\tdemo/object\tr\\t1\t1\t",
                                         "8\t0.000042\tset\tcount\t41\t", "8\t0.000042\tcommit\t"};
    for (size_t i = 0; i < 3; i++) {
        const char *line = strsep(&rest, "\n");
        size_t len = strlen(starts[i]);
        ck_assert_uint_eq(strlen(line), len + 16);
        ck_assert_mem_eq(line, starts[i], len);
    }
    ck_assert_str_eq(rest, "");
    free(lines);
}
END_TEST

START_TEST(a_header_is_read_back)
{
    struct buf text = BUF_INIT;
    put_header(&text);
    struct segment_scan scan;
    segment_scan_init(&scan, content_of(&text), FIRST);
    ck_assert_int_eq(segment_scan_next(&scan), SEGMENT_CONTROL);
    ck_assert_uint_eq(scan.boot, BOOT);
    ck_assert_uint_eq(scan.control.previous_seq, 6);
    ck_assert_uint_eq(scan.control.durable.segment, 5);
    ck_assert_uint_eq(scan.control.durable.offset, 99);
    ck_assert_uint_eq(scan.control.durable_seq, 6);
    ck_assert_uint_eq(scan.max_hlc, header_stamp.hlc);
    ck_assert(span_equal(scan.control.station, "a\\tstation"));
    segment_scan_free(&scan);
    buf_free(&text);
}
END_TEST

START_TEST(lines_of_another_segment_or_start_are_refused)
{
    struct buf text = BUF_INIT;
    const struct rpc_write write = {RPC_WRITE_SET, span_of("k"), span_of("1")};
    put_turn(&text, FIRST, &write, 1);
    struct span line = {text.data, (size_t)((char *)memchr(text.data, '\n', text.len) - text.data)};
    struct record_line out;
    struct record_seeds same = record_seeds_of(FIRST, BOOT);
    struct record_seeds segment = record_seeds_of(FIRST + 1, BOOT);
    struct record_seeds boot = record_seeds_of(FIRST, BOOT + 1);
    ck_assert(record_decode(line, &same, &out));
    ck_assert_int_eq(out.kind, RECORD_BEGIN);
    ck_assert(!record_decode(line, &segment, &out));
    ck_assert(!record_decode(line, &boot, &out));
    buf_free(&text);
}
END_TEST

START_TEST(every_bit_counts)
{
    struct buf text = BUF_INIT;
    const struct rpc_write write = {RPC_WRITE_SET, span_of("k"), span_of("\"v\"")};
    put_turn(&text, FIRST, &write, 1);
    size_t len = (size_t)((char *)memchr(text.data, '\n', text.len) - text.data);
    struct record_seeds seeds = record_seeds_of(FIRST, BOOT);
    struct record_line out;
    for (size_t bit = 0; bit < len * 8; bit++) {
        text.data[bit / 8] ^= (char)(1 << bit % 8);
        ck_assert(!record_decode((struct span){text.data, len}, &seeds, &out));
        text.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t shorter = 0; shorter < len; shorter++)
        ck_assert(!record_decode((struct span){text.data, shorter}, &seeds, &out));
    buf_free(&text);
}
END_TEST

START_TEST(numbers)
{
    uint64_t value;
    ck_assert(record_number(span_of("18446744073709551615"), &value));
    ck_assert_uint_eq(value, UINT64_MAX);
    static const char *const bad[] = {"",
                                      "18446744073709551616",
                                      "-1",
                                      "1x",
                                      " 1",
                                      "0x1",
                                      "99999999999999999999",
                                      "000000000000000000001"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!record_number(span_of(bad[i]), &value), "%s", bad[i]);
}
END_TEST

START_TEST(positions_are_ordered)
{
    struct record_position a = {1, 500}, b = {2, 0}, c = {2, 1};
    ck_assert_int_lt(record_position_compare(a, b), 0);
    ck_assert_int_lt(record_position_compare(b, c), 0);
    ck_assert_int_gt(record_position_compare(c, a), 0);
    ck_assert_int_eq(record_position_compare(c, c), 0);
}
END_TEST

static void expect_bad(const struct buf *text, uint64_t first_seq, const char *problem)
{
    struct segment_scan scan;
    segment_scan_init(&scan, content_of(text), first_seq);
    enum segment_item item;
    do
        item = segment_scan_next(&scan);
    while (item == SEGMENT_CONTROL || item == SEGMENT_TURN);
    ck_assert_int_eq(item, SEGMENT_BAD);
    ck_assert_str_eq(scan.problem, problem);
    ck_assert_uint_le(scan.pos, scan.problem_at);
    segment_scan_free(&scan);
}

START_TEST(what_is_out_of_place_is_refused)
{
    const struct rpc_write write = {RPC_WRITE_SET, span_of("k"), span_of("1")};
    struct buf text = BUF_INIT;
    expect_bad(&text, FIRST, "no header");
    buf_puts(&text, "\n\n\n");
    expect_bad(&text, FIRST, "no header");
    buf_reset(&text, 0);
    put_header(&text);
    size_t header = text.len;
    expect_bad(&text, FIRST + 1, "invalid line");
    put_turn(&text, FIRST + 1, &write, 1);
    expect_bad(&text, FIRST, "sequence number out of order");
    text.len = header;
    put_turn(&text, FIRST, &write, 1);
    put_turn(&text, FIRST, &write, 1);
    expect_bad(&text, FIRST, "sequence number out of order");
    text.len = header;
    put_header(&text);
    expect_bad(&text, FIRST, "unexpected line between turns");
    text.len = header;
    buf_puts(&text, "\n\n\nx\n");
    expect_bad(&text, FIRST, "bytes in unused space");
    text.len = header;
    put_turn(&text, FIRST, &write, 1);
    char *commit = memmem(text.data, text.len, "commit", 6);
    while (commit[-1] != '\n')
        commit--;
    text.len = (size_t)(commit - text.data);
    expect_bad(&text, FIRST, "a turn without its end");
    buf_puts(&text, "\n\n");
    expect_bad(&text, FIRST, "a turn without its end");
    buf_free(&text);
}
END_TEST

START_TEST(a_newer_format_is_told_from_damage)
{
    struct buf text = BUF_INIT;
    put_header(&text);
    char *format = memmem(text.data, text.len, "header\t1", 8), sum[17];
    format[7] = '2';
    size_t summed = text.len - 17;
    snprintf(sum, sizeof(sum), "%016llx",
             (unsigned long long)XXH3_64bits_withSeed(text.data, summed, FIRST));
    memcpy(text.data + summed, sum, 16);
    struct segment_scan scan;
    segment_scan_init(&scan, content_of(&text), FIRST);
    ck_assert_int_eq(segment_scan_next(&scan), SEGMENT_UNSUPPORTED);
    segment_scan_free(&scan);
    buf_free(&text);
}
END_TEST

START_TEST(a_claim_is_found_behind_damage)
{
    struct buf text = BUF_INIT;
    struct record_position claim;
    const struct rpc_write write = {RPC_WRITE_SET, span_of("k"), span_of("1")};
    put_header(&text);
    put_turn(&text, FIRST, &write, 1);
    size_t end = text.len;
    struct record_control batch = {.boot = BOOT, .durable = {FIRST, end}, .durable_seq = FIRST};
    record_put_batch(&text, FIRST, (struct record_stamp){FIRST, 43}, &batch);
    buf_puts(&text, "\n\n\n");
    ck_assert(segment_find_claim(content_of(&text), FIRST, 0, &claim));
    ck_assert_uint_eq(claim.segment, FIRST);
    ck_assert_uint_eq(claim.offset, end);
    for (int bit = 0; bit < 8; bit++) { /* the newline before it is hit: glued to what was before */
        text.data[end - 1] ^= (char)(1 << bit);
        ck_assert(segment_find_claim(content_of(&text), FIRST, end - 40, &claim));
        ck_assert_uint_eq(claim.offset, end);
        text.data[end - 1] ^= (char)(1 << bit);
    }
    ck_assert(!segment_find_claim(content_of(&text), FIRST + 1, 0, &claim));
    ck_assert(!segment_find_claim(content_of(&text), FIRST, end + 1, &claim));
    buf_free(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record");
    TCase *tc = tcase_create("lines");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, every_byte_round_trips_in_key_and_value, 0, 256);
    tcase_add_test(tc, values_that_look_like_lines_round_trip);
    tcase_add_test(tc, a_large_value_and_many_keys_round_trip);
    tcase_add_test(tc, the_form_is_as_documented);
    tcase_add_test(tc, a_header_is_read_back);
    tcase_add_test(tc, lines_of_another_segment_or_start_are_refused);
    tcase_add_test(tc, every_bit_counts);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, positions_are_ordered);
    tcase_add_test(tc, what_is_out_of_place_is_refused);
    tcase_add_test(tc, a_newer_format_is_told_from_damage);
    tcase_add_test(tc, a_claim_is_found_behind_damage);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
