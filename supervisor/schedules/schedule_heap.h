// SPDX-License-Identifier: Apache-2.0
/*
 * schedule_heap - schedules by the time at which they are due, the earliest first: a binary heap of
 * pointers, where each schedule knows its place. Loop thread only.
 */
#ifndef SUPERVISOR_SCHEDULES_SCHEDULE_HEAP_H
#define SUPERVISOR_SCHEDULES_SCHEDULE_HEAP_H

#include "supervisor/schedules/schedule.h"

struct schedule_heap {
    struct schedule **items; /* from 1 */
    size_t count, cap;
};

/* Room for so many. 0 or -ENOMEM. */
int schedule_heap_reserve(struct schedule_heap *h, size_t count);
/* In, or to its new place, by due_us. There must be room. */
void schedule_heap_put(struct schedule_heap *h, struct schedule *s);
/* Out, if it is in. */
void schedule_heap_take(struct schedule_heap *h, struct schedule *s);
/* NULL when it is empty. */
struct schedule *schedule_heap_first(const struct schedule_heap *h);
void schedule_heap_free(struct schedule_heap *h);

#endif
