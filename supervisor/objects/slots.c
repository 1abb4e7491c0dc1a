// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/slots.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "common/log.h"
#include "supervisor/metric.h"
#include "supervisor/objects/idle.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/process/worker_memory.h"
#include "supervisor/station.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#define TICK_NS      (5 * NS_PER_MS) /* while objects wait */
#define CALM_NS      (1 * NS_PER_S)
#define COMPLAINT_NS (60 * NS_PER_S) /* between two lines in the log */

enum { LOOKS = 128 /* at objects that wait, a tick */ };

struct slots {
    struct station *station;
    struct object *waiting; /* oldest first */
    struct object *look;    /* the next of them whose time is looked at; NULL: the first */
    size_t waiting_count;
    struct loop_timer timer, excess_timer;
    struct worker_memory memory;
    uint64_t evicted, lent, refused;
    uint64_t complained_ns;
};

/* --- how much there is --- */

static void count_worker(struct worker *w, void *arg)
{
    *(size_t *)arg += w->state != WORKER_DRAINING && w->state != WORKER_KILLED;
}

/* Those that are going have given their slot up. */
static size_t workers_now(const struct station *station)
{
    size_t count = 0;
    worker_each(station->workers, count_worker, &count);
    return count;
}

static size_t reserve(const struct station *station)
{
    size_t quarter = station->config.workers_max / 4;
    return quarter > SLOTS_RESERVE_MIN ? quarter : SLOTS_RESERVE_MIN;
}

static uint64_t memory_max(const struct station *station)
{
    uint64_t max = station->config.workers_memory_max;
    return max ? max : worker_memory_default();
}

static bool memory_fits(const struct station *station)
{
    return worker_memory_bytes(station) <= memory_max(station);
}

bool slots_have_room(const struct station *station)
{
    return workers_now(station) < station->config.workers_max && memory_fits(station);
}

/* --- making room --- */

static bool evict(struct slots *s, struct object *o)
{
    if (!o)
        return false;
    log_debug("object %s gives up its worker: others need one", o->id);
    s->evicted++;
    lifecycle_event(o, OBJECT_EV_IDLE);
    return true;
}

static bool evict_one(struct slots *s)
{
    return evict(s, idle_oldest(s->station));
}

static bool make_room(struct slots *s)
{
    while (!slots_have_room(s->station))
        if (!evict_one(s))
            return false;
    return true;
}

static bool is_full(const struct station *station)
{
    return workers_now(station) >= station->config.workers_max;
}

/* --- waiting --- */

static void on_tick(void *arg);

static void complain(struct slots *s, const struct object *o)
{
    uint64_t now = clock_mono_ns();
    if (s->complained_ns && now - s->complained_ns < COMPLAINT_NS)
        return;
    s->complained_ns = now;
    log_warn("%s waits for a worker: none of the %zu is idle (%s)", o->id, workers_now(s->station),
             slots_short_of(s->station));
}

static void wait_for_slot(struct slots *s, struct object *o)
{
    if (o->waits_for_slot)
        return;
    complain(s, o);
    o->waits_for_slot = true;
    o->waits_since_ns = clock_mono_ns();
    DL_APPEND2(s->waiting, o, prev_waiting, next_waiting);
    s->waiting_count++;
    if (!loop_timer_armed(&s->timer))
        loop_timer_set(s->station->loop, &s->timer, TICK_NS, on_tick, s);
}

void slots_forget(struct object *o)
{
    struct slots *s = o->station->slots;
    if (!o->waits_for_slot)
        return;
    o->waits_for_slot = false;
    if (s->look == o)
        s->look = o->next_waiting;
    DL_DELETE2(s->waiting, o, prev_waiting, next_waiting);
    s->waiting_count--;
}

bool slots_take(struct object *o)
{
    struct slots *s = o->station->slots;
    bool may = o->is_lent || o->station->stopping || make_room(s);
    o->is_lent = false;
    if (may)
        slots_forget(o);
    else
        wait_for_slot(s, o);
    return may;
}

bool slots_lend(struct object *o)
{
    struct slots *s = o->station->slots;
    if (o->phase != OBJECT_COLD || make_room(s))
        return true;
    o->is_lent = workers_now(o->station) < o->station->config.workers_max + reserve(o->station);
    s->lent += o->is_lent;
    s->refused += !o->is_lent;
    return o->is_lent;
}

static void look_at(struct slots *s, struct object *o, uint64_t now)
{
    s->look = o->next_waiting;
    if (now < o->waits_since_ns + s->station->config.queue_timeout_ns)
        return;              /* it may have come after `now` was read */
    o->waits_since_ns = now; /* who comes from now on has as long */
    lifecycle_waited(o);
    if (!lifecycle_is_wanted(o))
        slots_forget(o);
}

static void tell_the_late(struct slots *s)
{
    uint64_t now = clock_mono_ns();
    size_t count = s->waiting_count < LOOKS ? s->waiting_count : LOOKS;
    while (count-- && s->waiting)
        look_at(s, s->look ? s->look : s->waiting, now);
}

/* Oldest first; the next one has no better chances. Nobody may ask for it any more. */
static void on_tick(void *arg)
{
    struct slots *s = arg;
    struct object *o;
    while ((o = s->waiting) && (!lifecycle_is_wanted(o) || make_room(s))) {
        slots_forget(o);
        if (lifecycle_is_wanted(o))
            lifecycle_demand(o);
    }
    tell_the_late(s);
    if (s->waiting)
        loop_timer_set(s->station->loop, &s->timer, TICK_NS, on_tick, s);
}

const char *slots_short_of(const struct station *station)
{
    return is_full(station) ? "workers.max" : "workers.memory_max";
}

const char *slots_limit(const struct object *o)
{
    return o->waits_for_slot ? slots_short_of(o->station) : NULL;
}

void slots_problem(const struct object *o, char *text)
{
    snprintf(text, SLOTS_PROBLEM_SIZE,
             "it has waited %.3g s (workers.queue_timeout) for a worker: no other is idle (%s)",
             (double)o->station->config.queue_timeout_ns / 1e9, slots_short_of(o->station));
}

/* --- what is beyond the limits without anybody asking for more --- */

/* Not the second ones of deploys, nor those of test runs, which end by themselves. */
static void count_lasting(struct worker *w, void *arg)
{
    if (w->is_replica || worker_ref_is(w->object->worker, w))
        count_worker(w, arg);
}

/* Slots were lent, or the setting is a lower one now. */
static bool is_beyond(const struct station *station)
{
    size_t count = 0;
    worker_each(station->workers, count_lasting, &count);
    return count > station->config.workers_max;
}

/* Who was not used for longer is not idle for as long as it is renewed: its turn comes then. */
static void drop_for_renewed(struct worker *w, void *arg)
{
    struct object **oldest = arg, *o = w->object;
    bool is_renewed = o->phase == OBJECT_DEPLOYING && worker_ref_is(o->worker, w);
    if (*oldest && is_renewed && o->used_ns < (*oldest)->used_ns)
        *oldest = NULL;
}

/* What was used a moment ago may be asked again by the turn that it was started for. */
static bool evict_calm(struct slots *s)
{
    struct object *o = idle_oldest(s->station);
    worker_each(s->station->workers, drop_for_renewed, &o);
    return o && loop_now(s->station->loop) - o->used_ns >= CALM_NS && evict(s, o);
}

static void fit_memory(void *arg)
{
    struct slots *s = arg;
    while (!memory_fits(s->station) && evict_one(s))
        ;
}

static void on_excess(void *arg)
{
    struct slots *s = arg;
    if (!s->station->stopping)
        worker_memory_measure(&s->memory);
    fit_memory(s);
    while (is_beyond(s->station) && evict_calm(s))
        ;
    loop_timer_set(s->station->loop, &s->excess_timer, NS_PER_S, on_excess, s);
}

struct slots *slots_new(struct station *station)
{
    struct slots *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->station = station;
    s->memory = (struct worker_memory){.station = station, .measured = fit_memory, .arg = s};
    loop_timer_set(station->loop, &s->excess_timer, NS_PER_S, on_excess, s);
    return s;
}

void slots_free(struct slots *s)
{
    if (!s)
        return;
    loop_timer_cancel(&s->timer);
    loop_timer_cancel(&s->excess_timer);
    free(s);
}

/* --- figures --- */

static void put_wait(struct buf *json, const char *key, const char *limit)
{
    char text[48];
    snprintf(text, sizeof(text), "a worker (%s)", limit);
    json_put_member(json, key, text);
}

void slots_put(const struct object *o, struct buf *json)
{
    if (o->waits_for_slot)
        put_wait(json, "waits_for", slots_short_of(o->station));
    if (replicas_wait(o))
        put_wait(json, "replicas_wait_for", slots_short_of(o->station));
}

void slots_status(const struct slots *s, struct buf *json)
{
    const struct station *station = s->station;
    json_put_key(json, "workers");
    buf_putc(json, '{');
    json_put_number(json, "count", workers_now(station));
    json_put_number(json, "max", station->config.workers_max);
    json_put_number(json, "memory_bytes", worker_memory_bytes(station));
    json_put_number(json, "memory_max", memory_max(station));
    json_put_number(json, "objects_waiting", s->waiting_count);
    json_put_number(json, "evicted", s->evicted);
    json_put_number(json, "idle_ended", idle_ended());
    json_put_number(json, "lent", s->lent);
    json_put_number(json, "refused", s->refused);
    buf_putc(json, '}');
}

void slots_metrics(const struct slots *s, struct buf *text)
{
    metric_gauge(text, "workers_max", "Limit of processes of objects: workers.max.",
                 (double)s->station->config.workers_max);
    metric_gauge(text, "workers_memory_bytes", "Memory of the processes of objects, as measured.",
                 (double)worker_memory_bytes(s->station));
    metric_gauge(text, "workers_memory_max_bytes", "Limit of that: workers.memory_max.",
                 (double)memory_max(s->station));
    metric_gauge(text, "objects_waiting_for_worker", "Objects that wait for a process.",
                 (double)s->waiting_count);
    metric_counter(text, "workers_evicted_total", "Idle objects that made room for others.",
                   s->evicted);
    metric_counter(text, "workers_idle_total", "Objects that left memory after their idle_timeout.",
                   idle_ended());
    metric_counter(text, "rejected_workers_total",
                   "Calls of objects refused: workers.max, workers.memory_max.", s->refused);
}
