// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/process/output_tail.c */
#include "supervisor/process/output_tail.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* The n-th byte that is written. */
static char byte_of(uint64_t n)
{
    return (char)('a' + n % 23);
}

static void add(struct output_tail *t, size_t len)
{
    char *bytes = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_of(t->total + i);
    output_tail_add(t, bytes, len);
    free(bytes);
}

/* The last bytes are there, in order, and as many as there may be. */
static void check_text(struct output_tail *t)
{
    struct span text = output_tail_text(t);
    uint64_t kept = t->total < OUTPUT_TAIL_MAX ? t->total : OUTPUT_TAIL_MAX;
    ck_assert_uint_eq(text.len, kept);
    size_t wrong = 0;
    for (size_t i = 0; i < text.len; i++)
        wrong += text.data[i] != byte_of(t->total - kept + i);
    ck_assert_uint_eq(wrong, 0);
}

START_TEST(empty)
{
    struct output_tail t = {0};
    ck_assert_uint_eq(output_tail_text(&t).len, 0);
    output_tail_add(&t, "", 0);
    ck_assert_uint_eq(output_tail_text(&t).len, 0);
    output_tail_free(&t);
}
END_TEST

static const size_t steps[] = {3, 7, 1000, 1023, 1024, 1025, 60000, 65535, 65536, 65537, 200000};

START_TEST(equal_steps)
{
    struct output_tail t = {0};
    for (size_t i = 0; i < 20 + 2 * OUTPUT_TAIL_MAX / steps[_i]; i++) {
        add(&t, steps[_i]);
        if (i % 9973 == 0)
            check_text(&t);
    }
    check_text(&t);
    output_tail_free(&t);
}
END_TEST

START_TEST(mixed_steps)
{
    struct output_tail t = {0};
    for (unsigned i = 0; i < 60; i++) {
        add(&t, (i * 7919u) % 5000);
        if (i % 3 == 0)
            check_text(&t);
    }
    ck_assert_uint_le(t.cap, OUTPUT_TAIL_MAX);
    output_tail_free(&t);
}
END_TEST

START_TEST(takes_no_more_than_it_needs)
{
    struct output_tail t = {0};
    add(&t, 100);
    ck_assert_uint_le(t.cap, 1024);
    output_tail_free(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("output_tail");
    TCase *tc = tcase_create("tail");
    tcase_add_test(tc, empty);
    tcase_add_loop_test(tc, equal_steps, 0, (int)(sizeof(steps) / sizeof(steps[0])));
    tcase_add_test(tc, mixed_steps);
    tcase_add_test(tc, takes_no_more_than_it_needs);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
