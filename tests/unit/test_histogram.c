// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/turn/histogram.c common/buf.c */
#include "supervisor/turn/histogram.h"

#include <check.h>
#include <stdlib.h>

START_TEST(counts_and_quantiles)
{
    struct histogram h = {0};
    ck_assert_double_eq(histogram_quantile(&h, 0.5), 0);
    for (int i = 0; i < 99; i++)
        histogram_add(&h, 150000); /* 150 µs: the bucket up to 200 µs */
    histogram_add(&h, 3000000000); /* 3 s: up to 5 s */
    ck_assert_uint_eq(h.total, 100);
    ck_assert_double_eq_tol(histogram_quantile(&h, 0.5), 0.0002, 1e-12);
    ck_assert_double_eq_tol(histogram_quantile(&h, 0.99), 5, 1e-12);
}
END_TEST

START_TEST(text_is_cumulative)
{
    struct histogram h = {0};
    struct buf text = BUF_INIT;
    histogram_add(&h, 50000); /* exactly a bound: in its bucket */
    histogram_add(&h, 60000);
    histogram_add(&h, 99000000000u); /* above every bound */
    histogram_metrics(&h, "x", &text);
    const char *s = buf_str(&text);
    ck_assert_ptr_nonnull(strstr(s, "# TYPE x histogram\n"));
    ck_assert_ptr_nonnull(strstr(s, "x_bucket{le=\"5e-05\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(s, "x_bucket{le=\"0.0001\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(s, "x_bucket{le=\"30\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(s, "x_bucket{le=\"+Inf\"} 3\n"));
    ck_assert_ptr_nonnull(strstr(s, "x_sum 99.000110\nx_count 3\n"));
    buf_free(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *tc = tcase_create("latency");
    tcase_add_test(tc, counts_and_quantiles);
    tcase_add_test(tc, text_is_cumulative);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
