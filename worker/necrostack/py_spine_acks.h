// SPDX-License-Identifier: Apache-2.0
/*
 * py_spine_acks - acknowledgements on their way while a run handles the next events.
 *
 * Only those of events that emitted nothing: nobody has to wait for them, for a failure changes
 * nothing but a count and a line of the log. They are few enough for a loop's turn. A run that ends
 * in order waits for all of them.
 */
#ifndef WORKER_NECROSTACK_PY_SPINE_ACKS_H
#define WORKER_NECROSTACK_PY_SPINE_ACKS_H

#include <Python.h>

#include "common/events/backend.h"

#include <stdbool.h>

struct spine_run;
struct spine_ack;

/* All zero: none. */
struct spine_acks {
    struct spine_ack *under_way, *failed, *spare;
    size_t count; /* under way */
    size_t bound; /* how many may be left when `waited` ends */
    bool waited;  /* more than that are under way, and the run waits */
};

/* Acknowledges the event in hand. 0: it is under way, or done, or its failure was told;
 * -1: an exception that ends the run. */
int spine_acks_send(struct spine_run *run);
/* An acknowledgement failed with the exception that is set: counted and told. 0, or -1 with an
 * exception that ends the run. */
int spine_acks_failed(struct spine_run *run, PyObject *event);
/* Whether so many are under way that the run has to wait: `waited` is set until half of them are
 * left. */
bool spine_acks_are_too_many(struct spine_acks *acks);
/* Whether there are any: `waited` is set until there are none. */
bool spine_acks_are_left(struct spine_acks *acks);
/* Counts and tells of those that failed since. 0, or -1 with an exception. */
int spine_acks_report(struct spine_run *run);
/* The run is over: they go their way, and nobody hears of them. */
void spine_acks_leave(struct spine_run *run);
int spine_acks_traverse(struct spine_acks *acks, visitproc visit, void *arg);

#endif
