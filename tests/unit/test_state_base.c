// SPDX-License-Identifier: Apache-2.0
/* links: worker/state_base.c common/seeded_hash.c common/codec.c common/buf.c */
/* The table of a checkpoint's keys against the plainest model: an array. */
#include "worker/state_base.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 5000 };

static struct span text(char room[32], const char *prefix, int n)
{
    return (struct span){room, (size_t)snprintf(room, 32, "%s%d", prefix, n)};
}

START_TEST(empty)
{
    struct state_base b = {0};
    struct span key, value;
    size_t at = 0;
    ck_assert(!state_base_find(&b, span_of("a"), &value));
    ck_assert_int_eq(state_base_index(&b), 0);
    ck_assert(!state_base_find(&b, span_of("a"), &value));
    ck_assert(!state_base_next(&b, &at, &key, &value));
    state_base_free(&b);
}
END_TEST

START_TEST(finds_what_was_added)
{
    struct state_base b = {0};
    char k[32], v[32];
    struct span value;
    if (_i)
        state_base_reserve(&b, KEYS * 20);
    for (int i = 0; i < KEYS; i++)
        ck_assert_int_eq(state_base_add(&b, text(k, "key", i), text(v, "value", i)), 0);
    ck_assert_int_eq(state_base_index(&b), 0);
    ck_assert_uint_eq(b.count, KEYS);
    for (int i = 0; i < KEYS; i++) {
        ck_assert(state_base_find(&b, text(k, "key", i), &value));
        text(v, "value", i);
        ck_assert(span_equal(value, v));
    }
    ck_assert(!state_base_find(&b, span_of("key"), &value));
    ck_assert(!state_base_find(&b, span_of("key5000"), &value));
    state_base_free(&b);
}
END_TEST

START_TEST(last_value_counts)
{
    struct state_base b = {0};
    struct span key, value;
    size_t at = 0;
    state_base_add(&b, span_of("a"), span_of("1"));
    state_base_add(&b, span_of("b"), span_of("2"));
    state_base_add(&b, span_of("a"), span_of("three"));
    ck_assert_int_eq(state_base_index(&b), 0);
    ck_assert_uint_eq(b.count, 2);
    ck_assert(state_base_find(&b, span_of("a"), &value) && span_equal(value, "three"));
    ck_assert(state_base_next(&b, &at, &key, &value) && span_equal(key, "b"));
    ck_assert(state_base_next(&b, &at, &key, &value) && span_equal(key, "a"));
    ck_assert(span_equal(value, "three"));
    ck_assert(!state_base_next(&b, &at, &key, &value));
    state_base_free(&b);
}
END_TEST

START_TEST(any_length_and_byte)
{
    struct state_base b = {0};
    struct span value;
    char bytes[64];
    for (int i = 0; i < 64; i++)
        bytes[i] = (char)(i * 5);
    for (size_t len = 1; len < 64; len++)
        state_base_add(&b, (struct span){bytes, len}, (struct span){bytes, 64 - len});
    ck_assert_int_eq(state_base_index(&b), 0);
    for (size_t len = 1; len < 64; len++) {
        ck_assert(state_base_find(&b, (struct span){bytes, len}, &value));
        ck_assert_uint_eq(value.len, 64 - len);
        ck_assert_mem_eq(value.data, bytes, value.len);
    }
    state_base_free(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state_base");
    TCase *tcase = tcase_create("state_base");
    tcase_add_test(tcase, empty);
    tcase_add_loop_test(tcase, finds_what_was_added, 0, 2);
    tcase_add_test(tcase, last_value_counts);
    tcase_add_test(tcase, any_length_and_byte);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
