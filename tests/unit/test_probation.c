// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/objects/probation.c common/buf.c common/clock.c common/json_text.c common/log.c
 */
/* What a way back that failed says and does later; deploys and time are played here. */
#include "supervisor/objects/probation.h"

#include "common/clock.h"
#include "supervisor/objects/deploy.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/renew.h"
#include "supervisor/station.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_NS (60 * NS_PER_S)

static struct station station;
static struct probation probation;
static struct object object;
static uint64_t now_ns;
static int asked;
static deploy_done_fn done;

uint64_t loop_now(const struct loop *loop)
{
    (void)loop;
    return now_ns;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns,
                    loop_timer_fn fn, void *arg)
{
    (void)loop;
    (void)timer;
    (void)delay_ns;
    fn(arg);
}

void loop_timer_cancel(struct loop_timer *timer)
{
    (void)timer;
}

struct source *history_previous_source(const struct history *h, const char *data_dir,
                                       const char *object_id, int *err)
{
    static char source;
    (void)h;
    (void)data_dir;
    (void)object_id;
    *err = 0;
    return (struct source *)&source;
}

int deploy_ask(struct object *o, const struct deploy_order *order)
{
    (void)o;
    asked++;
    done = order->done;
    return 0;
}

void renew_soon(struct object *o)
{
    (void)o;
}

void object_note(struct object *o, const char *level, const char *format, ...)
{
    (void)o;
    (void)level;
    (void)format;
}

static void set_up(void)
{
    now_ns = 1000 * NS_PER_S;
    asked = 0;
    station.config.rollback = true;
    station.config.rollback_window_ns = WINDOW_NS;
    station.config.rollback_calls = 4;
    station.config.rollback_errors = 50;
    object = (struct object){.id = "o", .station = &station, .probation = &probation, .version = 2};
    object.phase = OBJECT_SERVING;
    object.history.accepted = 2;
    object.history.previous = 1;
    object.endpoint.auto_rollback = true;
    memset(&probation, 0, sizeof(probation));
    probation_begin(&object);
}

static void tear_down(void)
{
    probation_free(&object);
}

static void count(int calls, int failures)
{
    for (int i = 0; i < calls; i++)
        probation_count(&object, i < failures);
}

static void refuse(void)
{
    done(NULL, &object,
         &(struct deploy_result){.outcome = DEPLOY_FAILED, .message = "no room on the disk"});
}

static void fail_first_attempt(void)
{
    now_ns += NS_PER_S;
    count(4, 4);
    ck_assert_int_eq(asked, 1);
    refuse();
}

START_TEST(the_reason_names_the_time_that_was_counted)
{
    fail_first_attempt();
    ck_assert_str_eq(probation.reason, "4 of 4 calls failed in the first 1.0 s of version 2");
    now_ns += 10 * WINDOW_NS;
    count(3, 0);
    now_ns += 2 * NS_PER_S;
    count(5, 5);
    ck_assert_int_eq(asked, 2);
    ck_assert_str_eq(probation.reason, "3 of 6 calls failed in the last 2.0 s of version 2");
}
END_TEST

START_TEST(deaths_of_long_ago_do_not_count)
{
    for (int i = 0; i < 3; i++)
        probation_died(&object);
    count(1, 1);
    ck_assert_int_eq(asked, 1);
    refuse();
    now_ns += 10 * WINDOW_NS;
    count(1, 1);
    ck_assert_int_eq(asked, 1);
    for (int i = 0; i < 3; i++)
        probation_died(&object);
    ck_assert_int_eq(asked, 2);
}
END_TEST

START_TEST(an_object_that_is_gone_is_not_tried_again)
{
    now_ns += NS_PER_S;
    count(4, 4);
    object.phase = OBJECT_GONE;
    refuse();
    ck_assert_ptr_null(probation.problem);
    ck_assert_uint_eq(probation.asked, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("probation");
    TCase *tc = tcase_create("probation");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_reason_names_the_time_that_was_counted);
    tcase_add_test(tc, deaths_of_long_ago_do_not_count);
    tcase_add_test(tc, an_object_that_is_gone_is_not_tried_again);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
