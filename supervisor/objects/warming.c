// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/warming.h"

#include "supervisor/objects/candidate.h"
#include "supervisor/objects/object.h"
#include "supervisor/station.h"

/* Of the one station of this process. */
static struct {
    struct object *head, *tail;
    size_t running;
    struct loop_timer timer;
} all;

static void append(struct object *o)
{
    o->warming.prev = all.tail;
    o->warming.next = NULL;
    if (all.tail)
        all.tail->warming.next = o;
    else
        all.head = o;
    all.tail = o;
}

static void take_out(struct object *o)
{
    if (o->warming.prev)
        o->warming.prev->warming.next = o->warming.next;
    else
        all.head = o->warming.next;
    if (o->warming.next)
        o->warming.next->warming.prev = o->warming.prev;
    else
        all.tail = o->warming.prev;
}

bool warming_enter(struct object *o)
{
    if (o->warming.stage == WARMING_NOT) {
        bool has_room = all.running < o->station->config.candidates_max;
        o->warming.stage = has_room ? WARMING_RUNS : WARMING_WAITS;
        if (has_room)
            all.running++;
        else
            append(o);
    }
    return o->warming.stage == WARMING_RUNS;
}

static void start_waiting(void *arg)
{
    const struct station *station = arg;
    while (all.head && all.running < station->config.candidates_max && !station->stopping) {
        struct object *o = all.head;
        take_out(o);
        all.running++;
        o->warming.stage = WARMING_RUNS;
        candidate_start(o);
    }
}

void warming_leave(struct object *o)
{
    int was = o->warming.stage;
    o->warming.stage = WARMING_NOT;
    if (was == WARMING_WAITS)
        take_out(o);
    if (was != WARMING_RUNS)
        return;
    all.running--;
    if (all.head) /* soon: one that fails at once must not nest in another */
        loop_timer_set(o->station->loop, &all.timer, 0, start_waiting, o->station);
}
