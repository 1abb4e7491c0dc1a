// SPDX-License-Identifier: Apache-2.0
/*
 * no_worker - the answer when an object has waited for a worker as long as a request may.
 */
#ifndef SUPERVISOR_REST_NO_WORKER_H
#define SUPERVISOR_REST_NO_WORKER_H

#include <stdbool.h>

struct exchange;
struct object;

/* 503 that names the limit. False, and nothing is answered: the object waits for no worker. */
bool no_worker_answer(struct exchange *x, const struct object *o);

#endif
