// SPDX-License-Identifier: Apache-2.0
/*
 * test_run - one run of an object's own tests (?test=true).
 *
 * The tests get a worker of their own: it loads what serves with the state as it is then, runs
 * every test, answers, and ends. So a test that hangs, kills its process or changes the module
 * hurts no call of the object, and nothing that the worker says changes anything: of its TURN_DONE
 * only the reply is taken. The run has the time of one turn. Loop thread only.
 */
#ifndef SUPERVISOR_TURN_TEST_RUN_H
#define SUPERVISOR_TURN_TEST_RUN_H

#include "supervisor/turn/call.h"

struct turns;

/* Answers x, sooner or later. The object has been loaded, or has failed to. */
void test_run_start(struct turns *turns, struct object *o, struct exchange *x);

/* What becomes of a worker with is_test. */
void test_run_ready(struct worker *w);
void test_run_load_failed(struct worker *w, const struct rpc_load_failed *why);
/* It has answered. */
void test_run_over(struct worker *w);
void test_run_dead(struct worker *w, int wait_status);

#endif
