// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/candidate.h"

#include "common/log.h"
#include "supervisor/objects/deploy.h"
#include "supervisor/objects/handover.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/loading.h"
#include "supervisor/objects/needs.h"
#include "supervisor/process/limits.h"
#include "supervisor/process/worker_death.h"
#include "supervisor/station.h"
#include "supervisor/turn/trial.h"

#include <string.h>

struct worker *candidate_worker(const struct object *o)
{
    return worker_get(o->station->workers, o->candidate);
}

bool candidate_is(const struct worker *w)
{
    return worker_ref_is(w->object->candidate, w);
}

/* --- beginning and end --- */

void candidate_start(struct object *o)
{
    if (o->phase == OBJECT_DEPLOYING && !warming_enter(o))
        return;
    o->stage = CANDIDATE_LOADING;
    needs_start(o);
    if (loading_start(o) < 0)
        lifecycle_event(o, OBJECT_EV_CANDIDATE_FAILED);
    else
        lifecycle_passed(o, "spawned");
}

void candidate_discard(struct object *o)
{
    struct worker *w = candidate_worker(o);
    o->candidate = (struct worker_ref){0};
    o->frozen = false;
    handover_drop(o);
    if (w)
        worker_kill(w, WORKER_BLAME_UNWANTED);
}

void candidate_give_up(struct object *o)
{
    struct worker *w = candidate_worker(o);
    if (w)
        worker_kill(w, WORKER_BLAME_UNWANTED);
    lifecycle_event(o, OBJECT_EV_CANDIDATE_FAILED);
}

/* --- what it has to pass --- */

/* Where nothing else could serve, what was accepted before is not put to the question again. */
static bool needs_check(const struct worker *w)
{
    const struct object *o = w->object;
    return w->has_health && (deploy_source(o) || o->phase == OBJECT_DEPLOYING);
}

/* What migrates the state gets its version when that has worked. */
static void take_version(struct object *o)
{
    o->stage = CANDIDATE_FIT;
    lifecycle_passed(o, "healthy");
    if (handover_migrates(o) || !deploy_holds_ready(o))
        lifecycle_event(o, OBJECT_EV_READY);
}

static void check_health(struct worker *w)
{
    struct object *o = w->object;
    int err = trial_begin(w, RPC_CALL_HEALTH, 0);
    o->stage = CANDIDATE_CHECKED;
    if (!err)
        return;
    load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "health() cannot be run: %s", strerror(-err));
    loading_drop(o);
    candidate_give_up(o);
}

void candidate_ready(struct worker *w, const struct rpc_ready *ready)
{
    struct object *o = w->object;
    char problem[ENDPOINT_PROBLEM_SIZE];
    if (!endpoint_parse(&o->next_endpoint, &w->station->config, ready->metadata, problem,
                        sizeof(problem)) ||
        !limits_declare(w, &o->next_endpoint.limits, problem, sizeof(problem))) {
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "%s", problem);
        candidate_give_up(o);
        return;
    }
    w->concurrent = o->next_endpoint.concurrent;
    w->has_health = ready->has_health;
    w->has_migrate = ready->has_migrate;
    w->migrated = ready->migrated;
    lifecycle_passed(o, "loaded");
    if (!needs_hold(o))
        candidate_complete(o);
}

void candidate_complete(struct object *o)
{
    struct worker *w = candidate_worker(o);
    if (w && needs_check(w))
        check_health(w);
    else
        take_version(o);
}

void candidate_healthy(struct worker *w)
{
    if (candidate_is(w))
        take_version(w->object);
}

/* --- how it fails --- */

void candidate_refused(struct worker *w, const struct rpc_load_failed *why)
{
    if (!candidate_is(w))
        return;
    load_error_note(w->object, why->line, why->traceback, "%.*s", (int)why->error.len,
                    why->error.data);
    candidate_give_up(w->object);
}

static const char *const doing[] = {
    [CANDIDATE_LOADING] = "while importing",
    [CANDIDATE_CHECKED] = "while health() ran",
    [CANDIDATE_FIT] = "before it served",
    [CANDIDATE_MIGRATING] = "while migrate_state() ran",
};

static void note_late(struct worker *w)
{
    const struct config *c = &w->station->config;
    bool is_health = w->object->stage == CANDIDATE_CHECKED;
    load_error_note(w->object, 0, LOAD_ERROR_NO_TRACEBACK,
                    "%s() ran longer than workers.%s_timeout (%.3g s) and did not stop",
                    is_health ? "health" : "migrate_state", is_health ? "health" : "migrate",
                    (double)(is_health ? c->health_timeout_ns : c->migrate_timeout_ns) / 1e9);
}

static void note_death(struct worker *w, int wait_status)
{
    struct object *o = w->object;
    if (w->blame == WORKER_BLAME_UNWANTED || w->station->stopping) {
        loading_drop(o);
    } else if (w->pid == 0) {
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "no worker could be started");
        loading_drop(o);
    } else if (w->blame == WORKER_BLAME_LOAD_TIME) {
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK,
                        "its import took longer than workers.start_timeout (%.3g s)",
                        (double)w->station->config.start_timeout_ns / 1e9);
    } else if (w->blame == WORKER_BLAME_DEADLINE) {
        note_late(w);
    } else {
        char reason[WORKER_DEATH_SIZE];
        worker_death_reason(w, wait_status, reason);
        load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "the worker ended %s: %s", doing[o->stage],
                        reason);
    }
}

void candidate_died(struct worker *w, int wait_status)
{
    if (w->blame == WORKER_BLAME_NURSERY) {
        candidate_start(w->object);
        return;
    }
    note_death(w, wait_status);
    if (w->object->load_error && w->crash_id[0])
        load_error_crash(w->object, w->crash_id);
    lifecycle_event(w->object, OBJECT_EV_CANDIDATE_FAILED);
}
