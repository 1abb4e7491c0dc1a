// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/objects/object_fsm.c */
/* Every cell of the object's phase × event table, written down a second time. */
#include "supervisor/objects/object_fsm.h"

#include <check.h>
#include <stdlib.h>

#define P(phase)  OBJECT_##phase
#define A(action) OBJECT_DO_##action

/* Per event, in the order of the enum: DEMAND SOURCE READY CANDIDATE_FAILED DRAINED HANDED
 * WORKER_DIED RETRY IDLE REMOVED. */
static const struct object_step expected[OBJECT_PHASES][OBJECT_EVENTS] = {
    [OBJECT_COLD] = {{P(STARTING), A(START)},
                     {P(COLD), A(REVIVE)},
                     {P(COLD), A(NOTHING)},
                     {P(COLD), A(NOTHING)},
                     {P(COLD), A(NOTHING)},
                     {P(COLD), A(NOTHING)},
                     {P(COLD), A(NOTHING)},
                     {P(COLD), A(NOTHING)},
                     {P(COLD), A(NOTHING)},
                     {P(GONE), A(END)}},
    [OBJECT_STARTING] = {{P(STARTING), A(NOTHING)},
                         {P(STARTING), A(RESTART)},
                         {P(STARTING), A(HAND_OVER)},
                         {P(BACKOFF), A(FAIL)},
                         {P(STARTING), A(NOTHING)},
                         {P(SERVING), A(SERVE)},
                         {P(STARTING), A(NOTHING)},
                         {P(STARTING), A(NOTHING)},
                         {P(STARTING), A(NOTHING)},
                         {P(GONE), A(END)}},
    [OBJECT_SERVING] = {{P(SERVING), A(NOTHING)},
                        {P(DEPLOYING), A(START)},
                        {P(SERVING), A(NOTHING)},
                        {P(SERVING), A(NOTHING)},
                        {P(SERVING), A(NOTHING)},
                        {P(SERVING), A(NOTHING)},
                        {P(BACKOFF), A(WAIT)},
                        {P(SERVING), A(NOTHING)},
                        {P(COLD), A(COOL)},
                        {P(GONE), A(END)}},
    [OBJECT_DEPLOYING] = {{P(DEPLOYING), A(NOTHING)},
                          {P(DEPLOYING), A(RESTART)},
                          {P(DEPLOYING), A(FREEZE)},
                          {P(SERVING), A(REJECT)},
                          {P(DEPLOYING), A(HAND_OVER)},
                          {P(SERVING), A(SWITCH)},
                          {P(STARTING), A(LOSE)},
                          {P(DEPLOYING), A(NOTHING)},
                          {P(DEPLOYING), A(NOTHING)},
                          {P(GONE), A(END)}},
    [OBJECT_BACKOFF] = {{P(BACKOFF), A(NOTHING)},
                        {P(COLD), A(REVIVE)},
                        {P(BACKOFF), A(NOTHING)},
                        {P(BACKOFF), A(NOTHING)},
                        {P(BACKOFF), A(NOTHING)},
                        {P(BACKOFF), A(NOTHING)},
                        {P(BACKOFF), A(NOTHING)},
                        {P(COLD), A(PROBE)},
                        {P(BACKOFF), A(NOTHING)},
                        {P(GONE), A(END)}},
    [OBJECT_GONE] = {{P(GONE), A(NOTHING)},
                     {P(COLD), A(REVIVE)},
                     {P(GONE), A(NOTHING)},
                     {P(GONE), A(NOTHING)},
                     {P(GONE), A(NOTHING)},
                     {P(GONE), A(NOTHING)},
                     {P(GONE), A(NOTHING)},
                     {P(GONE), A(NOTHING)},
                     {P(GONE), A(NOTHING)},
                     {P(GONE), A(NOTHING)}},
};

START_TEST(every_cell)
{
    enum object_phase phase = (enum object_phase)(_i / OBJECT_EVENTS);
    enum object_event event = (enum object_event)(_i % OBJECT_EVENTS);
    struct object_step step = object_fsm_step(phase, event);
    ck_assert_msg(step.next == expected[phase][event].next &&
                      step.action == expected[phase][event].action,
                  "%s × %s", object_phase_name(phase), object_event_name(event));
}
END_TEST

START_TEST(failed_is_never_for_ever)
{
    struct object_step step = object_fsm_step(OBJECT_BACKOFF, OBJECT_EV_RETRY);
    ck_assert_int_eq(step.next, OBJECT_COLD);
    ck_assert_int_eq(object_fsm_step(step.next, OBJECT_EV_DEMAND).next, OBJECT_STARTING);
    ck_assert_int_eq(object_fsm_step(OBJECT_GONE, OBJECT_EV_SOURCE).next, OBJECT_COLD);
}
END_TEST

START_TEST(a_bad_candidate_never_ends_what_serves)
{
    ck_assert_int_eq(object_fsm_step(OBJECT_DEPLOYING, OBJECT_EV_CANDIDATE_FAILED).next,
                     OBJECT_SERVING);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("object_fsm");
    TCase *tc = tcase_create("table");
    tcase_add_loop_test(tc, every_cell, 0, OBJECT_PHASES * OBJECT_EVENTS);
    tcase_add_test(tc, failed_is_never_for_ever);
    tcase_add_test(tc, a_bad_candidate_never_ends_what_serves);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
