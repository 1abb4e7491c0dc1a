// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/loop.c common/clock.c common/log.c common/json_text.c common/utf8.c
 * common/buf.c */
#include "supervisor/loop.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct loop *loop;
static char trace[64];

static void setup(void)
{
    loop = loop_new();
    trace[0] = '\0';
}

static void teardown(void)
{
    loop_free(loop);
}

static void note(char c)
{
    size_t n = strlen(trace);
    trace[n] = c;
    trace[n + 1] = '\0';
}

static void note_arg(void *arg)
{
    note(*(const char *)arg);
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

START_TEST(timers_run_in_order_and_once)
{
    struct loop_timer a = {0}, b = {0}, c = {0}, d = {0}, end = {0};
    loop_timer_set(loop, &c, 3000000, note_arg, "c");
    loop_timer_set(loop, &a, 1000000, note_arg, "a");
    loop_timer_set(loop, &b, 2000000, note_arg, "b");
    loop_timer_set(loop, &d, 2500000, note_arg, "d");
    loop_timer_cancel(&d);
    ck_assert(!loop_timer_armed(&d) && loop_timer_armed(&a));
    loop_timer_set(loop, &end, 4000000, stop, NULL);
    loop_run(loop);
    ck_assert_str_eq(trace, "abc");
    ck_assert(!loop_timer_armed(&a));
}
END_TEST

START_TEST(a_timer_set_again_moves)
{
    struct loop_timer a = {0}, b = {0}, end = {0};
    loop_timer_set(loop, &a, 1000000, note_arg, "a");
    loop_timer_set(loop, &b, 2000000, note_arg, "b");
    loop_timer_set(loop, &a, 3000000, note_arg, "a");
    loop_timer_set(loop, &end, 4000000, stop, NULL);
    loop_run(loop);
    ck_assert_str_eq(trace, "ba");
}
END_TEST

struct pair {
    struct loop_source *self, *other;
};

static void unwatch_both(void *arg, uint32_t events)
{
    struct pair *p = arg;
    ck_assert(events & EPOLLIN);
    note('x');
    loop_unwatch(p->self);
    loop_unwatch(p->other); /* its event of this round must not be delivered */
}

START_TEST(a_handler_may_end_itself_and_others)
{
    int first[2], second[2];
    struct loop_timer end = {0};
    ck_assert_int_eq(pipe(first) | pipe(second), 0);
    struct pair p1, p2;
    p1.self = p2.other = loop_watch(loop, first[0], EPOLLIN, unwatch_both, &p1);
    p1.other = p2.self = loop_watch(loop, second[0], EPOLLIN, unwatch_both, &p2);
    ck_assert_int_eq(write(first[1], "1", 1), 1);
    ck_assert_int_eq(write(second[1], "1", 1), 1);
    loop_timer_set(loop, &end, 2000000, stop, NULL);
    loop_run(loop);
    ck_assert_str_eq(trace, "x");
}
END_TEST

static void hook(void *arg)
{
    note_arg(arg);
    if (*(const char *)arg == 'w')
        loop_stop(loop);
}

START_TEST(hooks_run_by_rank)
{
    struct loop_timer now = {0};
    loop_set_hook(loop, LOOP_RANK_WORKERS, hook, "w");
    loop_set_hook(loop, LOOP_RANK_HTTP, hook, "h");
    loop_set_hook(loop, LOOP_RANK_STORE, hook, "s");
    loop_timer_set(loop, &now, 0, note_arg, "t");
    loop_run(loop);
    ck_assert_str_eq(trace, "thsw");
}
END_TEST

START_TEST(what_is_expected_and_does_not_come_is_no_harm)
{
    struct loop_timer end = {0};
    loop_timer_set(loop, &end, 1000000, stop, NULL);
    loop_expect(loop);
    loop_run(loop);
    ck_assert(!loop_timer_armed(&end));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop");
    TCase *tc = tcase_create("rounds");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, timers_run_in_order_and_once);
    tcase_add_test(tc, a_timer_set_again_moves);
    tcase_add_test(tc, a_handler_may_end_itself_and_others);
    tcase_add_test(tc, hooks_run_by_rank);
    tcase_add_test(tc, what_is_expected_and_does_not_come_is_no_harm);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
