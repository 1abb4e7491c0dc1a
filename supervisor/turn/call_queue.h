// SPDX-License-Identifier: Apache-2.0
/*
 * call_queue - the calls of one object that were not yet sent to a worker, oldest first.
 *
 * Two lists: those that only the owner may run, and those that any worker of the object may (its
 * methods declared readonly; all of a stateless object). What is declared changes with the source:
 * call_queue_sort() then.
 */
#ifndef SUPERVISOR_TURN_CALL_QUEUE_H
#define SUPERVISOR_TURN_CALL_QUEUE_H

#include "supervisor/process/worker.h"

struct call_queue {
    struct call_list owned;
    struct call_list shared;
};

static inline size_t call_queue_count(const struct call_queue *q)
{
    return q->owned.count + q->shared.count;
}
void call_queue_append(struct call_queue *q, struct call *call);
void call_queue_prepend(struct call_queue *q, struct call *call);
/* NULL: none. */
struct call *call_queue_oldest(const struct call_queue *q);
/* The oldest that the owner (else: a replica) may run; NULL: none. */
struct call *call_queue_pop(struct call_queue *q, bool is_owner);
void call_queue_sort(struct call_queue *q);
void call_queue_free(struct call_queue *q);

#endif
