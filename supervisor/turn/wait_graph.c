// SPDX-License-Identifier: Apache-2.0
#include "supervisor/turn/wait_graph.h"

#include "common/json_text.h"
#include "supervisor/objects/object.h"
#include "supervisor/station.h"
#include "supervisor/turn/ask.h"
#include "supervisor/turn/turns.h"

enum { STEPS_MAX = 512 /* a longer chain of waits ends by its deadlines */ };

struct search {
    const struct call *caller;
    uint64_t mark;
    const struct object *path[STEPS_MAX];
    size_t length;
};

/* The turn that such a call has to wait for; NULL: there is room, or may be, beside it. */
static const struct call *turn_in_the_way(const struct object *o, bool readonly)
{
    if (readonly && (o->endpoint.workers > 1 || o->endpoint.concurrent > 1))
        return NULL;
    const struct worker *w = worker_get(o->station->workers, o->worker);
    return w ? w->inflight.head : NULL;
}

static bool leads_to(struct search *s, struct object *o, bool readonly)
{
    const struct call *turn = turn_in_the_way(o, readonly);
    if (!turn || s->length == STEPS_MAX || o->wait_mark == s->mark)
        return false;
    o->wait_mark = s->mark;
    s->path[s->length++] = o;
    if (turn == s->caller)
        return true;
    for (const struct ask *ask = turn->asks; ask; ask = ask->next)
        if (ask->target && leads_to(s, ask->target, ask->callee && call_is_readonly(ask->callee)))
            return true;
    s->length--;
    return false;
}

/* Turns further up the chain wait for this one, whatever their objects could do meanwhile. */
static bool is_ancestor(const struct call *caller, const struct object *target, struct search *s)
{
    const struct call *up = caller;
    size_t length = 0;
    while (up && length < STEPS_MAX) {
        s->path[STEPS_MAX - ++length] = up->object;
        if (up->object == target)
            break;
        up = up->origin.ask ? up->origin.ask->caller : NULL;
    }
    if (!up || up->object != target)
        return false;
    memmove(s->path, s->path + STEPS_MAX - length, length * sizeof(s->path[0]));
    s->length = length;
    return true;
}

static void put_names(struct buf *names, const struct object *first, const struct search *s)
{
    buf_putc(names, '[');
    json_put_string(names, first->id, strlen(first->id));
    for (size_t i = 0; i < s->length; i++) {
        buf_putc(names, ',');
        json_put_string(names, s->path[i]->id, strlen(s->path[i]->id));
    }
    buf_putc(names, ']');
}

bool wait_graph_closes(struct call *caller, struct object *target, struct span method,
                       struct buf *names)
{
    struct turns *turns = caller->object->station->turns;
    struct search s;
    s.length = 0;
    if (is_ancestor(caller, target, &s)) {
        put_names(names, caller->object, &s);
        return true;
    }
    s.caller = caller;
    s.mark = ++turns->last_search;
    if (!leads_to(&s, target, endpoint_is_readonly(&target->endpoint, method)))
        return false;
    put_names(names, caller->object, &s);
    return true;
}
