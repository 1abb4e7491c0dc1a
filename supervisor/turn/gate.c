// SPDX-License-Identifier: Apache-2.0
/*
 * The output gate: a reply leaves only when the journal is durable up to the newest record that the
 * turn could have seen.
 */
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/turns.h"

#include <errno.h>
#include <stdlib.h>

/* Sequence numbers mostly rise from call to call, so the place is at or near the end. */
static void insert_by_seq(struct call_list *list, struct call *call)
{
    struct call *after = list->tail;
    while (after && after->gate_seq > call->gate_seq)
        after = after->prev;
    if (!after) {
        call_list_prepend(list, call);
        return;
    }
    call->prev = after;
    call->next = after->next;
    if (after->next)
        after->next->prev = call;
    else
        list->tail = call;
    after->next = call;
    list->count++;
}

void gate_hold(struct turns *turns, struct call *call)
{
    if (call->gate_seq <= store_durable(turns->station->store))
        answer_send(turns, call);
    else
        insert_by_seq(&turns->gated, call);
}

static void release_waiters(struct turns *turns, uint64_t durable)
{
    while (turns->waiters && turns->waiters->seq <= durable) {
        struct gate_waiter *w = turns->waiters;
        turns->waiters = w->next;
        w->fn(w->arg);
        free(w);
    }
}

void gate_release(struct turns *turns)
{
    uint64_t durable = store_durable(turns->station->store);
    while (turns->gated.head && turns->gated.head->gate_seq <= durable)
        answer_send(turns, call_list_pop(&turns->gated));
    release_waiters(turns, durable);
}

int turn_when_durable(struct turns *turns, uint64_t seq, void (*fn)(void *arg), void *arg)
{
    if (seq <= store_durable(turns->station->store)) {
        fn(arg);
        return 0;
    }
    struct gate_waiter *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct gate_waiter){.seq = seq, .fn = fn, .arg = arg};
    struct gate_waiter **link = &turns->waiters;
    while (*link && (*link)->seq <= seq)
        link = &(*link)->next;
    w->next = *link;
    *link = w;
    return 0;
}

void gate_free(struct turns *turns)
{
    while (turns->waiters) {
        struct gate_waiter *w = turns->waiters;
        turns->waiters = w->next;
        free(w);
    }
    call_list_free(&turns->gated);
}
