// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/rest/early.c */
#include "supervisor/rest/early.h"

#include <check.h>

enum { MANY = 1000 };
struct exchange {
    int number;
};

static struct exchange exchanges[MANY];
static int next;

void exchange_error(struct exchange *x, unsigned status, const char *extra, const char *format, ...)
{
    (void)extra;
    (void)format;
    ck_abort_msg("exchange %d was answered %u", x->number, status);
}

static void take(struct exchange *x, void *arg)
{
    ck_assert_ptr_eq(arg, &next);
    ck_assert_int_eq(x->number, next++);
}

static void hold(int first, int end)
{
    for (int i = first; i < end; i++) {
        exchanges[i].number = i;
        early_hold(&exchanges[i]);
    }
}

START_TEST(they_are_released_in_order)
{
    next = 0;
    hold(0, MANY);
    early_release(take, &next);
    ck_assert_int_eq(next, MANY);
}
END_TEST

START_TEST(each_is_released_once)
{
    next = 0;
    early_release(take, &next);
    ck_assert_int_eq(next, 0);
    hold(0, 3);
    early_release(take, &next);
    early_release(take, &next);
    ck_assert_int_eq(next, 3);
    hold(3, 5);
    early_release(take, &next);
    ck_assert_int_eq(next, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("early");
    TCase *tc = tcase_create("early");
    tcase_add_test(tc, they_are_released_in_order);
    tcase_add_test(tc, each_is_released_once);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
