// SPDX-License-Identifier: Apache-2.0
#include "supervisor/turn/wait_graph.h"

#include "common/json_text.h"
#include "supervisor/objects/object.h"
#include "supervisor/station.h"
#include "supervisor/turn/ask.h"
#include "supervisor/turn/turns.h"

enum {
    DEPTH_MAX = 256,   /* turns that wait one for another */
    VISITS_MAX = 4096, /* what is not found until then ends by its deadlines */
};

struct search {
    const struct object *path[DEPTH_MAX + 1]; /* of the turns that wait one for another */
    size_t length;
    size_t visits;
    struct buf *names;
    bool found; /* `names` holds the first cycle */
};

static void put_name(struct buf *names, const struct object *o)
{
    if (names->len && names->data[names->len - 1] != '[')
        buf_putc(names, ',');
    json_put_string(names, o->id, strlen(o->id));
}

/* The path from its last mention of `end` on, and `end` again. */
static void put_cycle(struct search *s, const struct object *end)
{
    size_t first = s->length;
    if (s->found)
        return;
    while (first > 0 && s->path[--first] != end)
        ;
    s->found = true;
    buf_putc(s->names, '[');
    for (size_t i = first; i < s->length; i++)
        put_name(s->names, s->path[i]);
    put_name(s->names, end);
    buf_putc(s->names, ']');
}

/* --- what never ends, unless something outside ends it --- */

static bool call_hangs(struct search *s, struct call *call);

/* A running turn. */
static bool turn_hangs(struct search *s, struct call *turn)
{
    bool hangs = false;
    if (turn->in_search) {
        put_cycle(s, turn->object);
        return true;
    }
    if (!turn->asks || s->length == DEPTH_MAX || s->visits++ == VISITS_MAX)
        return false;
    turn->in_search = true;
    s->path[s->length++] = turn->object;
    for (struct ask *ask = turn->asks; ask && !hangs; ask = ask->next)
        hangs = ask->callee && call_hangs(s, ask->callee);
    s->length--;
    turn->in_search = false;
    return hangs;
}

/* It takes no further call. */
static bool worker_hangs(struct search *s, struct worker *w)
{
    struct call *turn = w->inflight.head;
    if (w->inflight.count < w->concurrent)
        return false;
    for (uint32_t i = 0; i < w->concurrent; i++, turn = turn->next)
        if (!turn_hangs(s, turn))
            return false;
    return true;
}

/* Nobody takes a call that waits in its queue; a worker that does not run yet will. */
static bool object_hangs(struct search *s, const struct object *o, bool readonly)
{
    size_t count = readonly ? o->replicas.count : 0;
    for (size_t i = 0; i <= count; i++) {
        struct worker *w = replicas_worker(o, i);
        if (!w || !worker_hangs(s, w))
            return false;
    }
    return true;
}

static bool call_hangs(struct search *s, struct call *call)
{
    struct worker *w = worker_get(call->object->station->workers, call->worker);
    if (!w)
        return object_hangs(s, call->object, call_is_readonly(call));
    return turn_running(w, call->id) ? turn_hangs(s, call) : worker_hangs(s, w);
}

/* --- the question --- */

/* The turns further up the chain, from the target's down to the caller's, become the path. */
static bool is_ancestor(struct search *s, const struct call *caller, const struct object *target)
{
    const struct call *up = caller;
    const struct object *chain[DEPTH_MAX];
    size_t count = 0;
    while (up && count < DEPTH_MAX) {
        chain[count++] = up->object;
        if (up->object == target)
            break;
        up = up->origin.ask ? up->origin.ask->caller : NULL;
    }
    if (!up || up->object != target)
        return false;
    while (count)
        s->path[s->length++] = chain[--count];
    return true;
}

bool wait_graph_closes(struct call *caller, struct object *target, struct span method,
                       struct buf *names)
{
    struct search s;
    s.names = names;
    s.length = s.visits = 0;
    s.found = false;
    if (is_ancestor(&s, caller, target)) {
        put_cycle(&s, target);
        return true;
    }
    caller->in_search = true;
    s.path[s.length++] = caller->object;
    bool closes = object_hangs(&s, target, call_reads_only(target, method));
    caller->in_search = false;
    return closes;
}
