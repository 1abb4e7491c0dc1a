// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/state/memtable.c supervisor/state/arena.c common/seeded_hash.c common/buf.c
 * common/codec.c common/rpc.c common/file_store.c common/utf8.c -lxxhash */
/* The newest write of each key: against a plain model, and what a reservation leaves behind. */
#include "supervisor/state/memtable.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct memtable table;

static void setup(void)
{
    table = (struct memtable){0};
}

static void teardown(void)
{
    memtable_clear(&table);
}

static void put(const char *key, enum rpc_write_op op, const char *value, uint64_t seq)
{
    struct memtable_entry *entry = memtable_reserve(&table, span_of(key), strlen(value));
    ck_assert_ptr_nonnull(entry);
    memtable_put(&table, entry, op, span_of(value), seq);
}

static void expect(const char *key, const char *value)
{
    enum rpc_write_op op;
    struct span found;
    ck_assert(memtable_get(&table, span_of(key), &op, &found));
    ck_assert_int_eq(op, value ? RPC_WRITE_SET : RPC_WRITE_DELETE);
    ck_assert(span_equal(found, value ? value : ""));
}

START_TEST(newest_write_wins)
{
    enum rpc_write_op op;
    struct span found;
    ck_assert(!memtable_get(&table, span_of("a"), &op, &found));
    put("a", RPC_WRITE_SET, "1", 5);
    put("b", RPC_WRITE_SET, "\"a much longer value than the first\"", 6);
    put("a", RPC_WRITE_SET, "\"grown far beyond the room of a digit\"", 7);
    expect("a", "\"grown far beyond the room of a digit\"");
    put("a", RPC_WRITE_SET, "2", 8);
    expect("a", "2");
    put("b", RPC_WRITE_DELETE, "", 9);
    expect("b", NULL);
    ck_assert(!memtable_get(&table, span_of("c"), &op, &found));
    ck_assert_uint_eq(table.count, 2);
    ck_assert_uint_eq(table.first_seq, 5);
    ck_assert_uint_eq(table.bytes, 3); /* "a" "2" "b" */
}
END_TEST

START_TEST(a_reservation_shows_nothing_and_keeps_the_value)
{
    enum rpc_write_op op;
    struct span found;
    put("a", RPC_WRITE_SET, "1", 1);
    ck_assert_ptr_nonnull(memtable_reserve(&table, span_of("a"), 100000));
    ck_assert_ptr_nonnull(memtable_reserve(&table, span_of("new"), 10));
    expect("a", "1");
    ck_assert(!memtable_get(&table, span_of("new"), &op, &found));
    ck_assert_uint_eq(table.count, 1);
    struct buf out = BUF_INIT;
    memtable_encode(&table, &out);
    struct codec_reader r = codec_reader_of(out.data, out.len);
    struct rpc_write w;
    ck_assert(rpc_write_next(&r, &w));
    ck_assert(span_equal(w.key, "a"));
    ck_assert(!rpc_write_next(&r, &w));
    ck_assert(!r.failed);
    buf_free(&out);
}
END_TEST

START_TEST(a_value_that_fits_takes_no_memory)
{
    put("count", RPC_WRITE_SET, "1000000", 1);
    size_t before = table.arena.total, room = table.arena.room;
    char value[16];
    for (uint64_t i = 0; i < 10000; i++) {
        snprintf(value, sizeof(value), "%llu", (unsigned long long)i);
        put("count", RPC_WRITE_SET, value, i + 2);
    }
    ck_assert_uint_eq(table.arena.total, before);
    ck_assert_uint_eq(table.arena.room, room);
    expect("count", "9999");
}
END_TEST

START_TEST(growing_values_leave_bounded_waste)
{
    enum { LARGEST = 200000 };
    char *value = malloc(LARGEST + 1);
    memset(value, '7', LARGEST);
    for (size_t len = 1; len < LARGEST; len += 997) {
        char keep = value[len];
        value[len] = '\0';
        put("list", RPC_WRITE_SET, value, len);
        value[len] = keep;
    }
    ck_assert_uint_lt(table.arena.total, 6 * LARGEST);
    free(value);
}
END_TEST

START_TEST(keys_are_bytes)
{
    enum rpc_write_op op;
    struct span found, nul = {"a\0b", 3};
    struct memtable_entry *entry = memtable_reserve(&table, nul, 1);
    memtable_put(&table, entry, RPC_WRITE_SET, span_of("1"), 1);
    put("a", RPC_WRITE_SET, "2", 2);
    ck_assert(memtable_get(&table, nul, &op, &found));
    ck_assert(span_equal(found, "1"));
    expect("a", "2");
}
END_TEST

START_TEST(agrees_with_a_model)
{
    enum { KEYS = 20000, STEPS = 200000 };
    static int model[KEYS]; /* 0: never, -1: deleted, else the value */
    unsigned state = 1;
    char key[32], value[32];
    for (int step = 1; step <= STEPS; step++) {
        state = state * 1103515245u + 12345u;
        unsigned k = (state >> 8) % KEYS;
        bool delete = (state >> 5) % 5 == 0;
        snprintf(key, sizeof(key), "key-%u", k);
        snprintf(value, sizeof(value), "%s%d", delete ? "" : "", step);
        put(key, delete ? RPC_WRITE_DELETE : RPC_WRITE_SET, delete ? "" : value, (uint64_t)step);
        model[k] = delete ? -1 : step;
    }
    uint64_t count = 0;
    for (unsigned k = 0; k < KEYS; k++) {
        enum rpc_write_op op;
        struct span found;
        snprintf(key, sizeof(key), "key-%u", k);
        snprintf(value, sizeof(value), "%d", model[k]);
        if (model[k])
            expect(key, model[k] < 0 ? NULL : value);
        else
            ck_assert(!memtable_get(&table, span_of(key), &op, &found));
        count += model[k] != 0;
    }
    ck_assert_uint_eq(table.count, count);
    struct buf out = BUF_INIT;
    memtable_encode(&table, &out);
    struct codec_reader r = codec_reader_of(out.data, out.len);
    struct rpc_write w;
    while (rpc_write_next(&r, &w))
        count--;
    ck_assert(!r.failed);
    ck_assert_uint_eq(count, 0);
    buf_free(&out);
}
END_TEST

START_TEST(cleared_is_empty_and_usable)
{
    put("a", RPC_WRITE_SET, "1", 1);
    memtable_clear(&table);
    ck_assert(memtable_empty(&table));
    ck_assert_uint_eq(table.first_seq, 0);
    ck_assert_uint_eq(table.arena.total, 0);
    put("a", RPC_WRITE_SET, "2", 9);
    expect("a", "2");
    ck_assert_uint_eq(table.first_seq, 9);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memtable");
    TCase *tc = tcase_create("memtable");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, newest_write_wins);
    tcase_add_test(tc, a_reservation_shows_nothing_and_keeps_the_value);
    tcase_add_test(tc, a_value_that_fits_takes_no_memory);
    tcase_add_test(tc, growing_values_leave_bounded_waste);
    tcase_add_test(tc, keys_are_bytes);
    tcase_add_test(tc, agrees_with_a_model);
    tcase_add_test(tc, cleared_is_empty_and_usable);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
