// SPDX-License-Identifier: Apache-2.0
#include "supervisor/turn/test_run.h"

#include "common/json_text.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/loading.h"
#include "supervisor/process/process_end.h"
#include "supervisor/station.h"
#include "supervisor/turn/turns.h"

#include <errno.h>
#include <stdio.h>

/* --- the call, until its worker takes it --- */

static struct call *take_call(struct worker *w)
{
    struct call *call = w->test_call;
    w->test_call = NULL;
    return call;
}

static bool admit(struct turns *turns, struct object *o, struct exchange *x)
{
    const struct config *c = &turns->station->config;
    if (turns->station->stopping) {
        exchange_error(x, 503, NULL, "the station is stopping");
        return false;
    }
    if (turns->test_runs < c->test_runs_max)
        return true;
    exchange_error(x, 503, "\"limit\":\"test_runs_max\"",
                   "%llu objects are tested already (limits.test_runs_max), %s has to wait",
                   (unsigned long long)c->test_runs_max, o->id);
    return false;
}

static void spawn(struct turns *turns, struct object *o, struct call *call)
{
    int err;
    struct worker_ref ref =
        worker_spawn(turns->station->workers, o, false, loading_fill_test, &err);
    struct worker *w = worker_get(turns->station->workers, ref);
    if (!w) {
        answer_error(turns, call, 503, NULL, "no worker for the tests of %s: %s", o->id,
                     strerror(-err));
        return;
    }
    turns->test_runs++;
    w->test_call = call;
    call->worker = ref;
}

void test_run_start(struct turns *turns, struct object *o, struct exchange *x)
{
    struct call_origin origin = {.kind = RPC_CALL_TEST};
    if (!admit(turns, o, x))
        return;
    struct call *call = call_new(x, o, &origin);
    if (!call) {
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another call");
        return;
    }
    turns->outstanding++;
    deadline_arm(turns);
    if (o->accepted)
        spawn(turns, o, call);
    else
        turn_answer_unloadable(turns, call);
}

/* --- its worker --- */

void test_run_ready(struct worker *w)
{
    struct turns *turns = w->station->turns;
    struct call *call = take_call(w);
    if (call)
        turn_send_to(turns, w, call);
    if (w->inflight.count == 0)
        test_run_over(w); /* it could not be sent */
}

void test_run_load_failed(struct worker *w, const struct rpc_load_failed *why)
{
    struct turns *turns = w->station->turns;
    struct call *call = take_call(w);
    struct buf extra = BUF_INIT;
    if (!call)
        return;
    load_error_put(&extra, w->object, why->line, NULL, why->traceback);
    answer_error(turns, call, 500, buf_str(&extra), "%s does not load for its tests: %.*s",
                 w->object->file, (int)why->error.len, why->error.data);
    buf_free(&extra);
}

void test_run_over(struct worker *w)
{
    worker_event(w, WORKER_EV_DRAIN);
}

void test_run_dead(struct worker *w, int wait_status)
{
    struct turns *turns = w->station->turns;
    struct call *call = take_call(w);
    turns->test_runs--;
    if (!call)
        return;
    if (w->blame == WORKER_BLAME_LOAD_TIME)
        answer_error(turns, call, 504, "\"limit\":\"start_timeout\"",
                     "%s took longer to load for its tests than workers.start_timeout (%.3g s)",
                     w->object->file, (double)w->station->config.start_timeout_ns / 1e9);
    else
        answer_error(turns, call, 502, NULL, "the worker ended while loading %s for its tests: %s",
                     w->object->file, w->pid ? process_end_how(wait_status) : "it never ran");
}
