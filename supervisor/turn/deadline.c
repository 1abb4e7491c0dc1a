// SPDX-License-Identifier: Apache-2.0
/*
 * Deadlines, checked by one tick while anything is outstanding: how long the running call of each
 * busy worker runs (from the page that the worker shows us), and how long calls wait in queues.
 *
 * A call past its deadline: the worker is told (TimeoutError in the handler); after the grace its
 * stacks are dumped to its stderr (stack_dump.h); then it is killed with all it has started. A
 * worker whose page says nothing is judged by when it last answered.
 */
#include "common/clock.h"
#include "common/shared_page.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/slots.h"
#include "supervisor/process/stack_dump.h"
#include "supervisor/station.h"
#include "supervisor/turn/trial.h"

#include <signal.h>

#define TICK_NS          (50 * NS_PER_MS)
#define SILENCE_SLACK_NS (2 * NS_PER_S)

static void tell_deadline(struct worker *w, uint64_t id, uint64_t now)
{
    sigqueue(w->pid, SIGUSR1, (union sigval){.sival_ptr = (void *)(uintptr_t)id});
    w->deadline_id = id;
    w->deadline_ns = now;
    w->dumped_ns = 0;
}

/* Its stacks first; a tick later the worker. */
static void end_turn(struct worker *w, enum worker_blame blame, const char *why)
{
    if (!stack_dump_is_over(w))
        return;
    log_info("worker %d of %s %s: killed", (int)w->pid, w->object->id, why);
    worker_kill(w, blame);
}

static void after_grace(struct worker *w)
{
    end_turn(w, WORKER_BLAME_DEADLINE, "ran a call past its deadline and grace");
}

static uint64_t age(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

/* When the running call is to end: the object's own timeout, or that of the chain it is part of. */
static uint64_t deadline_of(const struct worker *w, uint64_t running, uint64_t started)
{
    const struct call *call = call_list_find(&w->inflight, running);
    uint64_t own = started + w->object->endpoint.timeout_ns;
    uint64_t chain = call ? call->origin.deadline_ns : 0;
    return chain && chain < own ? chain : own;
}

/*
 * Turns at once: each has its deadline from the worker, who answers unless one of them holds its
 * loop. So the oldest is looked at; the signal finds the one that computes.
 */
static void check_concurrent(struct worker *w, const struct config *config, uint64_t now)
{
    const struct call *oldest = w->inflight.head;
    uint64_t timeout = w->object->endpoint.timeout_ns;
    if (!oldest || age(now, oldest->sent_ns) <= timeout + TICK_NS)
        return;
    if (age(now, oldest->sent_ns) > timeout + config->timeout_grace_ns + SILENCE_SLACK_NS)
        after_grace(w);
    else
        tell_deadline(w, oldest->id, now);
}

/* Its end stands in the call, whatever the object declares. */
static void check_trial(struct worker *w, const struct config *config, uint64_t now)
{
    uint64_t end = trial_deadline(w->trial);
    if (now <= end)
        return;
    if (w->page->running_id == w->trial->id && w->deadline_id != w->trial->id)
        tell_deadline(w, w->trial->id, now);
    else if (age(now, end) > config->timeout_grace_ns)
        after_grace(w);
}

/*
 * Processor time since the first tick that saw the call: a tick may be given away. Where turns run
 * at once nobody can say whose it is.
 */
static void check_cpu(struct worker *w, uint64_t running)
{
    uint64_t limit_ns = w->family.limits.cpu_seconds * NS_PER_S;
    if (!limit_ns || w->concurrent > 1)
        return;
    if (w->family.cpu.turn != running) {
        cpu_time_begin(w, running);
        w->dumped_ns = 0;
    } else if (cpu_time_used(w) > limit_ns) {
        end_turn(w, WORKER_BLAME_CPU, "ran a call past limits.cpu_seconds");
    }
}

static void check_worker(struct worker *w, const struct config *config, uint64_t now)
{
    uint64_t running = w->page->running_id, started = w->page->started_ns;
    uint64_t timeout = w->object->endpoint.timeout_ns;
    if (w->pid == 0 || w->state == WORKER_KILLED)
        return;
    if (w->trial) {
        check_trial(w, config, now);
        return;
    }
    if (w->concurrent > 1 && running == 0) {
        check_concurrent(w, config, now);
        return;
    }
    bool owes_answer = w->inflight.count > 0;
    if (owes_answer &&
        age(now, w->progress_ns) > timeout + config->timeout_grace_ns + SILENCE_SLACK_NS) {
        after_grace(w);
        return;
    }
    if (running == 0)
        return;
    check_cpu(w, running);
    if (w->state == WORKER_KILLED || now <= deadline_of(w, running, started))
        return;
    if (w->deadline_id != running)
        tell_deadline(w, running, now);
    else if (age(now, w->deadline_ns) > config->timeout_grace_ns)
        after_grace(w);
}

static void give_up(struct turns *turns, struct call *call)
{
    const char *slots = slots_limit(call->object);
    turns->rejected_queue_timeout++;
    if (slots)
        exchange_error(call->exchange, 503,
                       strcmp(slots, "workers.max") == 0 ? "\"limit\":\"workers.max\""
                                                         : "\"limit\":\"workers.memory_max\"",
                       "the call waited %.3g s (workers.queue_timeout) for a worker for %s: no "
                       "other is idle (%s)",
                       (double)turns->station->config.queue_timeout_ns / 1e9, call->object->id,
                       slots);
    else
        exchange_error(call->exchange, 503, "\"limit\":\"queue_timeout\",\"retryable\":true",
                       "the call waited %.3g s for its turn of %s (workers.queue_timeout)",
                       (double)turns->station->config.queue_timeout_ns / 1e9, call->object->id);
    call->exchange = NULL;
}

/*
 * Calls that were sent and have not begun. The worker marks a call as running and only then looks
 * at the clock, so one that is not marked a tick after its time is refused there for sure.
 */
static void check_sent(struct turns *turns, struct worker *w, uint64_t now)
{
    uint64_t limit = turns->station->config.queue_timeout_ns + TICK_NS;
    uint64_t running = w->concurrent > 1 ? w->page->begun_id : w->page->running_id;
    for (struct call *call = w->inflight.head; call; call = call->next)
        if (call->exchange && call->id > running && age(now, call->arrived_ns) > limit)
            give_up(turns, call);
}

static void check_queue(struct turns *turns, struct object *o, uint64_t now)
{
    uint64_t limit = turns->station->config.queue_timeout_ns;
    struct call *call;
    while ((call = call_queue_oldest(&o->queue)) && age(now, call->arrived_ns) > limit) {
        call_queue_pop(&o->queue, true);
        turns->queued--;
        give_up(turns, call);
        answer_forget(turns, call);
    }
    if (call_queue_count(&o->queue) == 0)
        object_mark_queued(turns->station->objects, o, false);
}

static void tick(void *arg)
{
    struct turns *turns = arg;
    struct station *station = turns->station;
    uint64_t now = clock_mono_ns();
    for (struct worker *w = worker_first_busy(station->workers), *next; w; w = next) {
        next = w->next_busy;
        throttle_look(w);
        check_sent(turns, w, now);
        check_worker(w, &station->config, now);
    }
    for (struct object *o = object_first_queued(station->objects), *next; o; o = next) {
        next = o->next_queued;
        check_queue(turns, o, now);
    }
    deadline_arm(turns);
}

void deadline_arm(struct turns *turns)
{
    if ((turns->outstanding || turns->trials) && !loop_timer_armed(&turns->tick))
        loop_timer_set(turns->station->loop, &turns->tick, TICK_NS, tick, turns);
}
