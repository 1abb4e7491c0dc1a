// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/objects/file_checks.c supervisor/loop.c common/clock.c common/log.c
 * common/fd_io.c common/json_text.c common/utf8.c common/buf.c */
/* How much is looked at in a round, and that all of it is, in order. */
#include "supervisor/objects/file_checks.h"

#include <check.h>
#include <stdlib.h>

enum { MANY = 50 };

static struct loop *loop;
static struct file_checks *checks;
static struct file_check check[MANY];
static int done[MANY], done_count;
static uint64_t first_round_ns;
static int in_first_round;

static void set_up(void)
{
    loop = loop_new();
    checks = file_checks_new(loop);
    ck_assert_ptr_nonnull(checks);
    done_count = in_first_round = 0;
    first_round_ns = loop_now(loop);
}

static void tear_down(void)
{
    file_checks_free(checks);
    loop_free(loop);
}

static void spend(uint64_t ns)
{
    uint64_t until_ns = clock_mono_ns() + ns;
    while (clock_mono_ns() < until_ns)
        ;
}

static void look(void *arg)
{
    spend(FILE_CHECKS_NS / 4);
    in_first_round += loop_now(loop) == first_round_ns;
    done[done_count++] = (int)((struct file_check *)arg - check);
    if (done_count == MANY)
        loop_stop(loop);
}

static void ask(int i)
{
    file_checks_ask(checks, &check[i], look, &check[i]);
}

START_TEST(one_is_done_at_once)
{
    ask(7);
    ck_assert_int_eq(done_count, 1);
    ck_assert_int_eq(done[0], 7);
    ck_assert_ptr_null(check[7].fn);
}
END_TEST

START_TEST(many_over_several_rounds_in_order)
{
    for (int i = 0; i < MANY; i++)
        ask(i);
    ask(MANY - 1); /* waits already */
    ck_assert_int_lt(done_count, MANY / 2);
    loop_run(loop);
    ck_assert_int_le(in_first_round, 8);
    for (int i = 1; i < MANY; i++)
        ck_assert_int_lt(done[i - 1], done[i]);
    ck_assert_int_eq(done[MANY - 1], MANY - 1);
}
END_TEST

static void look_anew(void *arg)
{
    done[done_count++] = (int)((struct file_check *)arg - check);
    loop_stop(loop);
}

START_TEST(what_is_asked_last_is_done)
{
    for (int i = 0; i < MANY; i++)
        ask(i);
    int before = done_count;
    for (int i = 0; i < MANY - 1; i++)
        file_checks_drop(&check[i]);
    file_checks_ask(checks, &check[MANY - 1], look_anew, &check[MANY - 1]);
    loop_run(loop);
    ck_assert_int_eq(done_count, before + 1);
    ck_assert_int_eq(done[before], MANY - 1);
}
END_TEST

START_TEST(what_is_dropped_is_not_done)
{
    for (int i = 0; i < MANY; i++)
        ask(i);
    int before = done_count;
    for (int i = 0; i < MANY - 1; i++)
        file_checks_drop(&check[i]);
    file_checks_drop(&check[0]); /* not waiting: nothing */
    ck_assert_int_eq(done_count, before);
    done_count = MANY - 1;
    loop_run(loop);
    ck_assert_int_eq(done[MANY - 1], MANY - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("file_checks");
    TCase *tcase = tcase_create("file_checks");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, one_is_done_at_once);
    tcase_add_test(tcase, many_over_several_rounds_in_order);
    tcase_add_test(tcase, what_is_asked_last_is_done);
    tcase_add_test(tcase, what_is_dropped_is_not_done);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
