// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/idle.h"

#include "common/clock.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/needs.h"
#include "supervisor/station.h"

#define SWEEP_NS (1 * NS_PER_S)

static uint64_t ended;

static bool is_idle(const struct object *o)
{
    if (o->phase != OBJECT_SERVING || !replicas_worker(o, 0) || call_queue_count(&o->queue))
        return false;
    for (size_t i = 0; i <= o->replicas.count; i++) {
        const struct worker *w = replicas_worker(o, i);
        if (w && (w->state != WORKER_READY || w->streams.count))
            return false;
    }
    return !needs_keep(o); /* last: it looks at every worker */
}

static bool is_owner(const struct worker *w)
{
    return worker_ref_is(w->object->worker, w);
}

static void sweep_worker(struct worker *w, void *arg)
{
    struct station *station = arg;
    struct object *o = w->object;
    memory_kills_look(w);
    throttle_look(w);
    if (!is_owner(w) || loop_now(station->loop) - o->used_ns < o->endpoint.idle_timeout_ns ||
        !is_idle(o))
        return;
    ended++;
    lifecycle_event(o, OBJECT_EV_IDLE);
}

static void sweep(void *arg)
{
    static struct loop_timer timer;
    struct station *station = arg;
    worker_each(station->workers, sweep_worker, station);
    loop_timer_set(station->loop, &timer, SWEEP_NS, sweep, station);
}

void idle_start(struct station *station)
{
    sweep(station);
}

static void compare(struct worker *w, void *arg)
{
    struct object **oldest = arg, *o = w->object;
    if (is_owner(w) && (!*oldest || o->used_ns < (*oldest)->used_ns) && is_idle(o))
        *oldest = o;
}

struct object *idle_oldest(struct station *station)
{
    struct object *oldest = NULL;
    worker_each(station->workers, compare, &oldest);
    return oldest;
}

uint64_t idle_ended(void)
{
    return ended;
}
