// SPDX-License-Identifier: Apache-2.0
/* links: common/events/eager_wait.c common/clock.c */
/* When a wait is active and when it sleeps at once, on a pipe. */
#include "common/events/eager_wait.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATIENCE_NS = 2 * EAGER_WAIT_NS };

static int ends[2];

static void make_pipe(void)
{
    ck_assert_int_eq(pipe(ends), 0);
}

static void close_pipe(void)
{
    close(ends[0]);
    close(ends[1]);
}

static void answer(void)
{
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
}

static void take(void)
{
    char byte;
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
}

static bool wait_for_answer(struct eager_wait *wait)
{
    return eager_wait(wait, ends[0], PATIENCE_NS, true);
}

START_TEST(answers_and_their_absence)
{
    struct eager_wait wait = {0};
    for (int soon = 0; soon < 2; soon++) {
        ck_assert(!eager_wait(&wait, ends[0], PATIENCE_NS, soon));
        answer();
        ck_assert(eager_wait(&wait, ends[0], PATIENCE_NS, soon));
        ck_assert(eager_wait(&wait, ends[0], 0, soon));
        take();
        ck_assert(!eager_wait(&wait, ends[0], 0, soon));
    }
}
END_TEST

/* After some waits in vain it only tries now and then, and whenever that succeeds, always again. */
START_TEST(active_while_it_pays)
{
    struct eager_wait wait = {0};
    for (unsigned i = 1; i < EAGER_WAIT_MISSES; i++) {
        ck_assert(!wait_for_answer(&wait));
        ck_assert_uint_eq(wait.misses, i);
        ck_assert_uint_eq(wait.resting, 0);
    }
    answer();
    ck_assert(wait_for_answer(&wait));
    ck_assert_uint_eq(wait.misses, 0);
    take();
    for (unsigned i = 0; i < EAGER_WAIT_MISSES; i++)
        ck_assert(!wait_for_answer(&wait));
    answer();
    for (unsigned left = EAGER_WAIT_REST - 1; left > 0; left--) {
        ck_assert_uint_eq(wait.resting, left);
        ck_assert(wait_for_answer(&wait)); /* sleeps at once: it learns nothing of it */
        ck_assert_uint_eq(wait.misses, EAGER_WAIT_MISSES);
    }
    take();
    ck_assert_uint_eq(wait.resting, 0);
    ck_assert(!wait_for_answer(&wait)); /* a try in vain: rests again */
    ck_assert_uint_eq(wait.resting, EAGER_WAIT_REST - 1);
    answer();
    for (unsigned i = 0; i < EAGER_WAIT_REST; i++)
        ck_assert(wait_for_answer(&wait));
    ck_assert_uint_eq(wait.misses, 0);
    ck_assert_uint_eq(wait.resting, 0);
}
END_TEST

/* What waits for somebody's doing, or has no time for it, is never active. */
START_TEST(sleeps_at_once)
{
    struct eager_wait wait = {0};
    for (unsigned i = 0; i < 2 * EAGER_WAIT_MISSES; i++) {
        ck_assert(!eager_wait(&wait, ends[0], PATIENCE_NS, false));
        ck_assert(!eager_wait(&wait, ends[0], EAGER_WAIT_NS - 1, true));
    }
    ck_assert_uint_eq(wait.misses, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("eager_wait");
    TCase *tests = tcase_create("eager_wait");
    tcase_add_checked_fixture(tests, make_pipe, close_pipe);
    tcase_add_test(tests, answers_and_their_absence);
    tcase_add_test(tests, active_while_it_pays);
    tcase_add_test(tests, sleeps_at_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
