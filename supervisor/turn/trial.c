// SPDX-License-Identifier: Apache-2.0
#include "supervisor/turn/trial.h"

#include "supervisor/objects/candidate.h"
#include "supervisor/objects/handover.h"
#include "supervisor/objects/object.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>

bool trial_is(const struct call *call)
{
    return call->origin.kind == RPC_CALL_HEALTH || call->origin.kind == RPC_CALL_MIGRATE;
}

uint64_t trial_deadline(const struct call *call)
{
    return call->origin.deadline_ns;
}

/* --- sending --- */

static int send_call(struct worker *w, const struct call *call, uint64_t old_version)
{
    char body[24];
    snprintf(body, sizeof(body), "%llu", (unsigned long long)old_version);
    struct span none = {"", 0};
    struct rpc_call m = {.kind = call->origin.kind,
                         .method = none,
                         .target = none,
                         .head = none,
                         .body = span_of(body),
                         .remote_addr = none,
                         .request_id = none,
                         .user = none,
                         .caller = none,
                         .readonly = call->readonly};
    size_t frame = channel_begin(&w->channel, RPC_CALL, call->id);
    rpc_call_encode(&w->channel.out, &m);
    return channel_end(&w->channel, frame, NULL, 0);
}

int trial_begin(struct worker *w, enum rpc_call_kind kind, uint64_t old_version)
{
    struct turns *turns = w->station->turns;
    const struct config *c = &w->station->config;
    uint64_t now = loop_now(w->station->loop);
    bool is_health = kind == RPC_CALL_HEALTH;
    struct call_origin origin = {
        .kind = kind,
        .deadline_ns = now + (is_health ? c->health_timeout_ns : c->migrate_timeout_ns)};
    struct call *call = call_new(NULL, w->object, &origin);
    if (!call)
        return -ENOMEM;
    call->id = ++turns->last_call_id;
    call->worker = w->ref;
    call->readonly = is_health;
    call->sent_ns = now;
    int err = send_call(w, call, old_version);
    if (err) {
        call_free(call);
        return err;
    }
    turns->trials++;
    w->trial = call;
    w->progress_ns = now;
    w->last_sent_id = call->id;
    turn_hand_over(turns, w, call);
    worker_event(w, WORKER_EV_CALL);
    worker_touch(w);
    deadline_arm(turns);
    return 0;
}

/* --- what it comes to --- */

static void forget(struct worker *w, struct call *call)
{
    w->trial = NULL;
    w->station->turns->trials--;
    call_free(call);
}

static struct span field_of(const struct rpc_turn_done *m, const char *name)
{
    struct codec_reader r = codec_reader_of(m->fields.data, m->fields.len);
    struct rpc_field f;
    while (rpc_field_next(&r, &f))
        if (span_equal(f.name, name))
            return f.value;
    return (struct span){"", 0};
}

static uint32_t number_of(struct span digits)
{
    uint32_t value = 0;
    for (size_t i = 0; i < digits.len && i < 9; i++)
        if (digits.data[i] >= '0' && digits.data[i] <= '9')
            value = value * 10 + (uint32_t)(digits.data[i] - '0');
    return value;
}

void trial_answered(struct worker *w, struct call *call, const struct rpc_turn_done *m)
{
    enum rpc_call_kind kind = call->origin.kind;
    bool passed = m->status == 200 && m->outcome == RPC_OUTCOME_OK;
    struct rpc_load_failed why = {.error = m->body,
                                  .traceback = field_of(m, "traceback"),
                                  .line = number_of(field_of(m, "line"))};
    forget(w, call);
    worker_event(w, WORKER_EV_ANSWERED);
    if (w->state != WORKER_READY)
        return; /* it is on its way out */
    if (!passed)
        candidate_refused(w, &why);
    else if (kind == RPC_CALL_HEALTH)
        candidate_healthy(w);
    else
        handover_migrated(w, m);
}

void trial_dead(struct worker *w)
{
    struct call *call = w->trial;
    if (!call)
        return;
    turn_take_back(w->station->turns, w, call);
    forget(w, call);
}
