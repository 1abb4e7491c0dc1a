// SPDX-License-Identifier: Apache-2.0
#include "supervisor/turn/call_queue.h"

#include "supervisor/turn/call.h"

static struct call_list *list_of(struct call_queue *q, const struct call *call)
{
    return call_is_readonly(call) ? &q->shared : &q->owned;
}

void call_queue_append(struct call_queue *q, struct call *call)
{
    call_list_append(list_of(q, call), call);
}

void call_queue_prepend(struct call_queue *q, struct call *call)
{
    call_list_prepend(list_of(q, call), call);
}

static const struct call_list *older(const struct call_queue *q)
{
    const struct call *owned = q->owned.head, *shared = q->shared.head;
    if (!owned || !shared)
        return owned ? &q->owned : &q->shared;
    return owned->arrived_ns <= shared->arrived_ns ? &q->owned : &q->shared;
}

struct call *call_queue_oldest(const struct call_queue *q)
{
    return older(q)->head;
}

struct call *call_queue_pop(struct call_queue *q, bool is_owner)
{
    bool owned = is_owner && older(q) == &q->owned;
    return call_list_pop(owned ? &q->owned : &q->shared);
}

void call_queue_sort(struct call_queue *q)
{
    struct call_queue sorted = {0};
    struct call *call;
    while ((call = call_queue_pop(q, true)))
        call_queue_append(&sorted, call);
    *q = sorted;
}

void call_queue_free(struct call_queue *q)
{
    call_list_free(&q->owned);
    call_list_free(&q->shared);
}
