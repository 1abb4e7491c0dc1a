// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/process/backoff.c common/clock.c */
#include "supervisor/process/backoff.h"

#include <check.h>
#include <stdlib.h>

START_TEST(no_death_no_delay)
{
    struct backoff b = {0};
    ck_assert_uint_eq(backoff_delay(&b, 12345), 0);
}
END_TEST

START_TEST(doubles_within_jitter_and_stops_at_the_last)
{
    struct backoff b = {0};
    uint64_t nominal = BACKOFF_FIRST_NS;
    for (int i = 0; i < 20; i++) {
        backoff_count(&b, 0);
        for (uint32_t jitter = 0; jitter < 4000000000u; jitter += 123456789u) {
            uint64_t delay = backoff_delay(&b, jitter);
            ck_assert_uint_ge(delay, nominal - nominal / 4);
            ck_assert_uint_le(delay, nominal + nominal / 4);
            ck_assert_uint_le(delay, BACKOFF_LAST_NS);
        }
        nominal = nominal * 2 > BACKOFF_LAST_NS ? BACKOFF_LAST_NS : nominal * 2;
    }
}
END_TEST

START_TEST(a_stable_life_forgets)
{
    struct backoff b = {0};
    for (int i = 0; i < 10; i++)
        backoff_count(&b, 1);
    backoff_count(&b, BACKOFF_STABLE_NS);
    ck_assert_uint_le(backoff_delay(&b, 0), BACKOFF_FIRST_NS);
    backoff_reset(&b);
    ck_assert_uint_eq(backoff_delay(&b, 0), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backoff");
    TCase *tc = tcase_create("delays");
    tcase_add_test(tc, no_death_no_delay);
    tcase_add_test(tc, doubles_within_jitter_and_stops_at_the_last);
    tcase_add_test(tc, a_stable_life_forgets);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
