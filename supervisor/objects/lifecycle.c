// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/lifecycle.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "supervisor/log/object_log.h"
#include "supervisor/objects/candidate.h"
#include "supervisor/objects/deploy.h"
#include "supervisor/objects/handover.h"
#include "supervisor/objects/imports.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/loading.h"
#include "supervisor/objects/needs.h"
#include "supervisor/objects/renew.h"
#include "supervisor/objects/slots.h"
#include "supervisor/process/limits.h"
#include "supervisor/process/throttle.h"
#include "supervisor/process/worker_death.h"
#include "supervisor/schedules/schedules.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/test_run.h"
#include "supervisor/turn/turn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- who waits for the metadata --- */

static int wait_for_load(struct object *o, void (*fn)(void *arg), void *arg)
{
    int err = waiters_add(&o->waiters, fn, arg);
    if (!err)
        lifecycle_demand(o);
    return err;
}

int lifecycle_when_loaded(struct object *o, void (*fn)(void *arg), void *arg)
{
    if (!o->endpoint.metadata && !(o->phase == OBJECT_BACKOFF && o->load_error))
        return wait_for_load(o, fn, arg);
    fn(arg);
    return 0;
}

int lifecycle_when_started(struct object *o, void (*fn)(void *arg), void *arg)
{
    if (o->phase == OBJECT_COLD || o->phase == OBJECT_STARTING)
        return wait_for_load(o, fn, arg);
    fn(arg);
    return 0;
}

int lifecycle_when_settled(struct object *o, void (*fn)(void *arg), void *arg)
{
    if (o->phase == OBJECT_COLD && o->file_changed)
        return wait_for_load(o, fn, arg);
    fn(arg);
    return 0;
}

/* --- actions --- */

/* It has lived for a while: calls that take long do not hold the others back any more. */
static void on_proof(void *arg)
{
    struct object *o = arg;
    if (o->phase == OBJECT_SERVING || o->phase == OBJECT_DEPLOYING)
        lifecycle_proven(o);
}

static void serve(struct object *o)
{
    struct station *station = o->station;
    handover_drop(o);
    o->worker = o->candidate;
    o->candidate = (struct worker_ref){0};
    o->frozen = false;
    imports_settle(o, o->worker.generation);
    bool is_new = deploy_source(o) != NULL;
    loading_accept(o, is_new ? o->history.accepted : o->loading_version);
    struct worker *w = worker_get(station->workers, o->worker);
    if (w) {
        w->version = o->version;
        throttle_serves(w);
    }
    if (is_new)
        deploy_served(o);
    schedules_served(o);
    call_queue_sort(&o->queue); /* what is declared readonly may be other methods than before */
    if (o->outage->lasts)
        loop_timer_set(station->loop, &o->retry_timer, OUTAGE_PROOF_NS, on_proof, o);
    replicas_fill(o);
    waiters_run(&o->waiters);
    needs_changed(o);
    turn_dispatch(station->turns, o);
    deploy_next(o);
}

static void serve_first(struct object *o)
{
    lifecycle_passed(o, "handed");
    o->used_ns = loop_now(o->station->loop); /* to be replaced is not to be used */
    serve(o);
}

/* The old worker is silent, and the candidate has what it knew. */
static void switch_worker(struct object *o)
{
    lifecycle_passed(o, "handed");
    struct station *station = o->station;
    struct worker *old = worker_get(station->workers, o->worker);
    o->worker = (struct worker_ref){0};
    if (old)
        worker_event(old, WORKER_EV_DRAIN);
    replicas_drain(o);
    serve(o);
}

static void freeze(struct object *o)
{
    struct station *station = o->station;
    struct worker *old = worker_get(station->workers, o->worker);
    o->frozen = true;
    lifecycle_passed(o, "frozen");
    if (!old || old->inflight.count == 0 || o->endpoint.stateless)
        lifecycle_event(o, OBJECT_EV_DRAINED);
}

static void reject_candidate(struct object *o)
{
    struct station *station = o->station;
    o->candidate = (struct worker_ref){0};
    o->frozen = false;
    handover_drop(o);
    deploy_failed(o);
    if (o->loading_is_retry && !o->reload) /* what serves imports something new all the same */
        o->reload = OBJECT_RELOAD_ACCEPTED;
    loading_drop(o);
    turn_dispatch(station->turns, o);
    deploy_next(o);
}

static void on_retry(void *arg);

static void wait_before_retry(struct object *o)
{
    struct station *station = o->station;
    loop_timer_set(station->loop, &o->retry_timer, outage_wait(o->outage), on_retry, o);
}

/* A start failed. With an accepted version to fall back on, that one is tried at once. */
static void fail_start(struct object *o)
{
    struct station *station = o->station;
    bool was_new = deploy_source(o) && o->loading;
    bool was_created = deploy_creates(o);
    reject_candidate(o);
    if (was_new && o->history.accepted && !was_created) {
        lifecycle_event(o, OBJECT_EV_RETRY);
        return;
    }
    outage_failed(o->outage, o->load_error ? o->load_error : "no worker could be started",
                  o->load_crash_id ? o->load_crash_id : "");
    wait_before_retry(o);
    turn_fail_queue(station->turns, o);
    waiters_run(&o->waiters);
    if (was_created) /* there never was a file */
        lifecycle_event(o, OBJECT_EV_REMOVED);
}

static void lose_worker(struct object *o)
{
    o->worker = (struct worker_ref){0};
    bool was_frozen = o->frozen, waits = o->warming.stage == WARMING_WAITS;
    o->frozen = false;
    replicas_drain(o);
    if (was_frozen)
        lifecycle_event(o, OBJECT_EV_READY);
    if (waits) { /* nothing serves meanwhile: no more waiting */
        warming_leave(o);
        candidate_start(o);
    }
}

static bool is_waited_for(const struct object *o)
{
    return call_queue_count(&o->queue) || o->waiters || o->deploy || needs_keep(o);
}

/* It served until it failed, and is used: the next call is not to wait for its start. */
static bool is_missed(const struct object *o)
{
    uint64_t unused_ns = loop_now(o->station->loop) - o->used_ns;
    return o->outage->lasts && o->accepted && unused_ns < o->endpoint.idle_timeout_ns &&
           !o->station->stopping;
}

bool lifecycle_is_wanted(const struct object *o)
{
    return o->phase == OBJECT_COLD && (is_waited_for(o) || is_missed(o));
}

static void probe(struct object *o)
{
    if (is_waited_for(o) || is_missed(o))
        lifecycle_demand(o);
}

static void revive(struct object *o)
{
    bool is_wanted = is_waited_for(o) || is_missed(o);
    loop_timer_cancel(&o->retry_timer);
    outage_forget(o->outage);
    load_error_forget(o);
    needs_changed(o);
    schedules_wake(o);
    if (is_wanted)
        lifecycle_demand(o);
}

static void cool(struct object *o)
{
    struct station *station = o->station;
    struct worker *w = worker_get(station->workers, o->worker);
    o->worker = (struct worker_ref){0};
    loop_timer_cancel(&o->retry_timer);
    outage_forget(o->outage);
    if (w)
        worker_event(w, WORKER_EV_DRAIN);
    replicas_drain(o);
}

static void end(struct object *o)
{
    struct station *station = o->station;
    log_info("object %s is gone", o->id);
    slots_forget(o);
    deploy_drop(o);
    candidate_discard(o);
    loading_drop(o);
    cool(o);
    source_unref(o->accepted);
    o->accepted = NULL;
    load_error_forget(o);
    turn_fail_queue(station->turns, o);
    waiters_run(&o->waiters);
    if (o->log)
        object_log_end_watch(o->log, "the object is gone");
    deploy_next(o);
}

static void restart_candidate(struct object *o)
{
    candidate_discard(o);
    deploy_drop(o);
    candidate_start(o);
    turn_dispatch(o->station->turns, o); /* it may have been frozen */
}

static void wait_after_death(struct object *o)
{
    o->worker = (struct worker_ref){0};
    replicas_drain(o);
    wait_before_retry(o);
}

static void nothing(struct object *o)
{
    (void)o;
}

static void (*const actions[])(struct object *o) = {
    [OBJECT_DO_NOTHING] = nothing,
    [OBJECT_DO_START] = candidate_start,
    [OBJECT_DO_RESTART] = restart_candidate,
    [OBJECT_DO_SERVE] = serve_first,
    [OBJECT_DO_FREEZE] = freeze,
    [OBJECT_DO_HAND_OVER] = handover_begin,
    [OBJECT_DO_SWITCH] = switch_worker,
    [OBJECT_DO_REJECT] = reject_candidate,
    [OBJECT_DO_FAIL] = fail_start,
    [OBJECT_DO_WAIT] = wait_after_death,
    [OBJECT_DO_LOSE] = lose_worker,
    [OBJECT_DO_PROBE] = probe,
    [OBJECT_DO_REVIVE] = revive,
    [OBJECT_DO_COOL] = cool,
    [OBJECT_DO_END] = end,
};

void lifecycle_passed(const struct object *o, const char *step)
{
    char name[48];
    snprintf(name, sizeof(name), "%s-%s", worker_ref_set(o->worker) ? "deploy" : "start", step);
    if (FAILPOINT(name))
        log_debug("object %s: %s", o->id, name);
}

void lifecycle_event(struct object *o, enum object_event event)
{
    struct object_step step = object_fsm_step(o->phase, event);
    if (step.next != o->phase)
        log_debug("object %s: %s, %s -> %s", o->id, object_event_name(event),
                  object_phase_name(o->phase), object_phase_name(step.next));
    object_set_phase(o, step.next);
    actions[step.action](o);
    if (!worker_ref_set(o->candidate) && (o->phase != OBJECT_DEPLOYING))
        warming_leave(o);
    renew_settle(o);
}

/* --- timers --- */

static void on_retry(void *arg)
{
    lifecycle_event(arg, OBJECT_EV_RETRY);
}

/* --- events from outside --- */

void lifecycle_demand(struct object *o)
{
    if (o->phase == OBJECT_COLD && slots_take(o))
        lifecycle_event(o, OBJECT_EV_DEMAND);
}

void lifecycle_waited(struct object *o)
{
    bool was_created = deploy_creates(o);
    deploy_unstarted(o);
    waiters_run(&o->waiters);
    if (was_created) /* there never was a file */
        lifecycle_event(o, OBJECT_EV_REMOVED);
}

void lifecycle_proven(struct object *o)
{
    if (!o->outage->lasts)
        return;
    outage_proven(o->outage);
    loop_timer_cancel(&o->retry_timer);
    replicas_fill(o);
    turn_dispatch(o->station->turns, o);
}

void lifecycle_worker_ready(struct worker *w, const struct rpc_ready *ready)
{
    char problem[ENDPOINT_PROBLEM_SIZE];
    if (!candidate_is(w) &&
        !limits_declare(w, &w->object->endpoint.limits, problem, sizeof(problem))) {
        log_warn("worker %d of %s: %s", (int)w->pid, w->object->id, problem);
        worker_kill(w, WORKER_BLAME_NONE);
        return;
    }
    if (replicas_has(w->object, w)) {
        throttle_serves(w);
        turn_dispatch(w->station->turns, w->object);
    }
    if (w->is_test)
        test_run_ready(w);
    if (candidate_is(w))
        candidate_ready(w, ready);
}

void lifecycle_worker_load_failed(struct worker *w, const struct rpc_load_failed *why)
{
    if (replicas_has(w->object, w))
        replicas_load_failed(w, why);
    if (w->is_test)
        test_run_load_failed(w, why);
    candidate_refused(w, why);
}

void lifecycle_worker_answered(struct worker *w)
{
    struct object *o = w->object;
    if (o->frozen && worker_ref_is(o->worker, w))
        lifecycle_event(o, OBJECT_EV_DRAINED);
}

/* Calls that a draining worker left behind when it died. */
static void serve_leftovers(struct object *o)
{
    if (o->phase == OBJECT_GONE)
        turn_fail_queue(o->station->turns, o);
    else if (call_queue_count(&o->queue))
        lifecycle_demand(o);
    turn_dispatch(o->station->turns, o);
}

static void note_death(struct worker *w, const char *reason)
{
    struct object *o = w->object;
    o->crashes++;
    object_count_restart(o);
    object_note(o, "ERROR", "worker %d died: %s", (int)w->pid, reason);
    if (!w->station->stopping)
        log_info("worker %d of %s died: %s", (int)w->pid, o->id, reason);
}

/* A replica takes the place of the dead owner. */
static bool carry_on(struct object *o, const struct worker *dead)
{
    if (o->phase != OBJECT_SERVING && o->phase != OBJECT_DEPLOYING)
        return false;
    if (!replicas_promote(o, dead))
        return false;
    if (o->frozen && replicas_worker(o, 0)->inflight.count == 0)
        lifecycle_event(o, OBJECT_EV_DRAINED);
    turn_dispatch(o->station->turns, o);
    return true;
}

void lifecycle_worker_dead(struct worker *w, int wait_status)
{
    struct object *o = w->object;
    if (w->is_test) {
        test_run_dead(w, wait_status);
        return;
    }
    if (candidate_is(w)) {
        candidate_died(w, wait_status);
        return;
    }
    bool is_replica = replicas_has(o, w);
    if (!is_replica && !worker_ref_is(o->worker, w)) {
        serve_leftovers(o);
        return;
    }
    char reason[WORKER_DEATH_SIZE];
    worker_death_reason(w, wait_status, reason);
    if (w->blame != WORKER_BLAME_UNWANTED) {
        note_death(w, reason);
        probation_died(o);
    }
    if (is_replica) {
        replicas_dead(w);
        return;
    }
    if (carry_on(o, w))
        return;
    if (w->blame != WORKER_BLAME_UNWANTED)
        outage_died(o->outage, clock_mono_ns() - w->born_ns, w->blame == WORKER_BLAME_MEMORY,
                    reason, w->crash_id);
    lifecycle_event(o, OBJECT_EV_WORKER_DIED);
}
