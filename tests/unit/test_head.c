// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/http/head.c */
#include "supervisor/http/head.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *head, *name, *value; /* NULL: absent */
} cases[] = {
    {"A: 1\r\n", "A", "1"},
    {"A: 1\r\n", "a", "1"},
    {"a:1\r\n", "A", "1"},
    {"A: 1\r\nB: 2\r\n", "B", "2"},
    {"A: 1\r\nA: 2\r\n", "A", "1"},
    {"A: \t 1 2 \t\r\n", "A", "1 2"},
    {"A:\r\n", "A", ""},
    {"A: \r\nB: 1\r\n", "A", ""},
    {"AB: 1\r\n", "A", NULL},
    {"A: B: 2\r\n", "B", NULL},
    {"X: A: 1\r\nA: 2\r\n", "A", "2"},
    {"", "A", NULL},
    {"B: 1\r\n", "A", NULL},
    {"B: 1\r\nA: 2", "A", "2"},
    {"A", "A", NULL},
};

START_TEST(lookup)
{
    struct span value = head_field(span_of(cases[_i].head), cases[_i].name);
    if (!cases[_i].value)
        ck_assert_ptr_null(value.data);
    else
        ck_assert_msg(value.data && span_equal(value, cases[_i].value), "%s in %s", cases[_i].name,
                      cases[_i].head);
}
END_TEST

START_TEST(empty_head_without_memory)
{
    ck_assert_ptr_null(head_field((struct span){NULL, 0}, "A").data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("head");
    TCase *tests = tcase_create("head");
    tcase_add_loop_test(tests, lookup, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_test(tests, empty_head_without_memory);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
