// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/rest/query.c supervisor/http/target.c common/buf.c common/codec.c */
#include "supervisor/rest/query.h"

#include <check.h>
#include <stdlib.h>

START_TEST(parameters_come_in_order_decoded)
{
    struct query q = query_of(span_of("a=1&&b&c=x%20y+z&=empty&%61=%3d"));
    static const char *const expected[][2] = {
        {"a", "1"}, {"b", ""}, {"c", "x y z"}, {"", "empty"}, {"a", "="}};
    for (size_t i = 0; i < 5; i++) {
        ck_assert(query_next(&q));
        ck_assert_str_eq(buf_str(&q.name), expected[i][0]);
        ck_assert_str_eq(buf_str(&q.value), expected[i][1]);
    }
    ck_assert(!query_next(&q));
    query_free(&q);
}
END_TEST

START_TEST(an_empty_query_has_none)
{
    struct query q = query_of(span_of("&&&"));
    ck_assert(!query_next(&q));
    q = query_of((struct span){NULL, 0});
    ck_assert(!query_next(&q));
    query_free(&q);
}
END_TEST

START_TEST(numbers)
{
    uint64_t n = 7;
    ck_assert(query_number("1", 1, 10, &n) && n == 1);
    ck_assert(query_number("10", 1, 10, &n) && n == 10);
    static const char *const bad[] = {
        "", "0", "11", "-1", "+1", " 1", "1 ", "1a", "0x1", "99999999999999999999", "1e1", "1.0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!query_number(bad[i], 1, 10, &n), "%s", bad[i]);
    ck_assert_uint_eq(n, 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("query");
    TCase *tc = tcase_create("parameters");
    tcase_add_test(tc, parameters_come_in_order_decoded);
    tcase_add_test(tc, an_empty_query_has_none);
    tcase_add_test(tc, numbers);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
