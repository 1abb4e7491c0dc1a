// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/process/worker_fsm.c */
/* Every cell of the worker's state × event table, written down a second time. */
#include "supervisor/process/worker_fsm.h"

#include <check.h>
#include <stdlib.h>

#define S(state)  WORKER_##state
#define A(action) WORKER_DO_##action

/* One row a state; per event, in the order of the enum: FORKED LOADED LOAD_FAILED CALL ANSWERED
 * DRAIN KILL EXITED. */
static const struct worker_step expected[WORKER_STATES][WORKER_EVENTS] = {
    [WORKER_SPAWNED] = {{S(LOADING), A(NOTHING)},
                        {S(SPAWNED), A(BLAME)},
                        {S(SPAWNED), A(BLAME)},
                        {S(SPAWNED), A(NOTHING)},
                        {S(SPAWNED), A(BLAME)},
                        {S(KILLED), A(KILL)},
                        {S(KILLED), A(KILL)},
                        {S(REAPED), A(BURY)}},
    [WORKER_LOADING] = {{S(LOADING), A(NOTHING)},
                        {S(READY), A(ANNOUNCE)},
                        {S(DRAINING), A(REPORT)},
                        {S(LOADING), A(NOTHING)},
                        {S(LOADING), A(BLAME)},
                        {S(KILLED), A(KILL)},
                        {S(KILLED), A(KILL)},
                        {S(REAPED), A(BURY)}},
    [WORKER_READY] = {{S(READY), A(NOTHING)},
                      {S(READY), A(BLAME)},
                      {S(READY), A(BLAME)},
                      {S(BUSY), A(NOTHING)},
                      {S(READY), A(NOTHING)},
                      {S(DRAINING), A(FINISH)},
                      {S(KILLED), A(KILL)},
                      {S(REAPED), A(BURY)}},
    [WORKER_BUSY] = {{S(BUSY), A(NOTHING)},
                     {S(BUSY), A(BLAME)},
                     {S(BUSY), A(BLAME)},
                     {S(BUSY), A(NOTHING)},
                     {S(READY), A(NOTHING)},
                     {S(DRAINING), A(NOTHING)},
                     {S(KILLED), A(KILL)},
                     {S(REAPED), A(BURY)}},
    [WORKER_DRAINING] = {{S(DRAINING), A(NOTHING)},
                         {S(DRAINING), A(BLAME)},
                         {S(DRAINING), A(BLAME)},
                         {S(DRAINING), A(NOTHING)},
                         {S(DRAINING), A(FINISH)},
                         {S(DRAINING), A(NOTHING)},
                         {S(KILLED), A(KILL)},
                         {S(REAPED), A(BURY)}},
    [WORKER_KILLED] = {{S(KILLED), A(KILL)},
                       {S(KILLED), A(NOTHING)},
                       {S(KILLED), A(NOTHING)},
                       {S(KILLED), A(NOTHING)},
                       {S(KILLED), A(NOTHING)},
                       {S(KILLED), A(NOTHING)},
                       {S(KILLED), A(NOTHING)},
                       {S(REAPED), A(BURY)}},
    [WORKER_REAPED] = {{S(REAPED), A(NOTHING)},
                       {S(REAPED), A(NOTHING)},
                       {S(REAPED), A(REPORT)},
                       {S(REAPED), A(NOTHING)},
                       {S(REAPED), A(NOTHING)},
                       {S(REAPED), A(NOTHING)},
                       {S(REAPED), A(NOTHING)},
                       {S(REAPED), A(NOTHING)}},
};

START_TEST(every_cell)
{
    enum worker_state state = (enum worker_state)(_i / WORKER_EVENTS);
    enum worker_event event = (enum worker_event)(_i % WORKER_EVENTS);
    struct worker_step step = worker_fsm_step(state, event);
    ck_assert_msg(step.next == expected[state][event].next &&
                      step.action == expected[state][event].action,
                  "%s × %s", worker_state_name(state), worker_event_name(event));
}
END_TEST

START_TEST(every_state_and_event_has_a_name)
{
    for (int s = 0; s < WORKER_STATES; s++)
        ck_assert_ptr_nonnull(worker_state_name((enum worker_state)s));
    for (int e = 0; e < WORKER_EVENTS; e++)
        ck_assert_ptr_nonnull(worker_event_name((enum worker_event)e));
}
END_TEST

START_TEST(every_state_ends_in_reaped)
{
    for (int s = 0; s < WORKER_STATES; s++)
        ck_assert_int_eq(worker_fsm_step((enum worker_state)s, WORKER_EV_EXITED).next,
                         WORKER_REAPED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker_fsm");
    TCase *tc = tcase_create("table");
    tcase_add_loop_test(tc, every_cell, 0, WORKER_STATES * WORKER_EVENTS);
    tcase_add_test(tc, every_state_and_event_has_a_name);
    tcase_add_test(tc, every_state_ends_in_reaped);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
