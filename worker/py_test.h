// SPDX-License-Identifier: Apache-2.0
/*
 * py_test - runs the test functions of an object: every function of its module named test_*, in the
 * order of the file.
 *
 * Each starts from the object's state as this worker was given it: what it writes it sees, and it
 * is taken back after the test. A test passes when it returns; it fails with AssertionError, is
 * skipped with unittest's SkipTest (or pytest's), and anything else it raises is an error. The
 * worker serves nothing but tests, so what they do to the module hurts nobody. Main thread, with
 * the GIL.
 */
#ifndef WORKER_PY_TEST_H
#define WORKER_PY_TEST_H

#include "worker/reply.h"

struct _object; /* PyObject */

/* At load: whose tests they are. Keeps references; filename is the module's. */
void py_test_prepare(struct _object *names, struct _object *injected, struct _object *filename);
/* Runs them all; the reply is a JSON document (http-api: ?test=true). */
void py_test_run(uint64_t id, const struct rpc_call *call, struct reply *reply);

#endif
