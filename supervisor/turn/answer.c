// SPDX-License-Identifier: Apache-2.0
/*
 * What a worker answers: TURN_DONE is accepted (its writes become one journal record, its reply
 * goes to the gate) or refused (the worker's copy is poisoned: every answer under way is refused
 * too and the worker gets RESET).
 */
#include "common/memfd.h"
#include "common/shared_page.h"
#include "supervisor/files/files.h"
#include "supervisor/log/object_log.h"
#include "supervisor/objects/handover.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/schedules/schedule_tick.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/commit.h"
#include "supervisor/turn/held_reply.h"
#include "supervisor/turn/test_run.h"
#include "supervisor/turn/trial.h"
#include "supervisor/turn/turns.h"

#include "common/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the last step --- */

static void finish(struct turns *turns, struct call *call)
{
    histogram_add(&turns->latency, loop_now(turns->station->loop) - call->arrived_ns);
    turns->outstanding--;
    if (turns->outstanding == 0)
        loop_expect(turns->station->loop); /* a client that waited for this one asks again */
    call_free(call);
}

static void set_request_id(struct call *call)
{
    char id[OBJECT_REQUEST_ID_SIZE];
    call_request_id(call, id, sizeof(id));
    exchange_set_request_id(call->exchange, id);
}

void answer_error(struct turns *turns, struct call *call, unsigned status, const char *extra,
                  const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, format);
    buf_vprintf(&text, format, ap);
    va_end(ap);
    if (call->id)
        set_request_id(call);
    exchange_error(call->exchange, status, extra, "%s", buf_str(&text));
    call->exchange = NULL;
    buf_free(&text);
    finish(turns, call);
}

void answer_forget(struct turns *turns, struct call *call)
{
    finish(turns, call);
}

/* Fields that the station adds to a reply, with room for their values. */
enum { STATION_FIELDS_MAX = 5 };
struct station_fields {
    struct exchange_field all[CALL_FIELDS_MAX + STATION_FIELDS_MAX];
    size_t count;
    char seq[48], version[24], timing[120];
};

static void add_field(struct station_fields *f, const char *name, const char *value)
{
    f->all[f->count++] = (struct exchange_field){name, value};
}

static void add_commit_fields(struct station_fields *f, const struct turns *turns,
                              const struct call *call)
{
    snprintf(f->seq, sizeof(f->seq), "%llu-%llu", (unsigned long long)turns->station->boot,
             (unsigned long long)call->commit_seq);
    add_field(f, "X-Commit-Seq", f->seq);
    add_field(f, "X-Durability", config_durability_name(turns->station->config.durability));
}

/* http.debug_headers; queue: until it was sent, turn: until it was answered, commit: until now. */
static void add_debug_fields(struct station_fields *f, const struct turns *turns,
                             const struct call *call)
{
    uint64_t now = clock_mono_ns();
    snprintf(f->version, sizeof(f->version), "%llu", (unsigned long long)call->object->version);
    snprintf(f->timing, sizeof(f->timing), "queue;dur=%.3f, turn;dur=%.3f, commit;dur=%.3f",
             (double)(call->sent_ns - call->arrived_ns) / 1e6,
             (double)(call->answered_ns - call->sent_ns) / 1e6,
             (double)(now - call->answered_ns) / 1e6);
    add_field(f, "X-Station", turns->station->config.station_id);
    add_field(f, "X-Object-Version", f->version);
    add_field(f, "Server-Timing", f->timing);
}

/* The reply as the front wants it; the station's fields come after the handler's. */
static struct exchange_reply reply_of(struct turns *turns, struct call *call,
                                      struct station_fields *fields)
{
    struct held_reply *held = &call->reply;
    struct exchange_reply reply = {.status = held->status,
                                   .content_type = held->content_type,
                                   .fields = held->fields,
                                   .field_count = held->field_count,
                                   .body = held->body,
                                   .body_size = held->body_size,
                                   .body_fd = held->body_fd};
    held->body = NULL;
    held->body_fd = -1;
    bool debug = turns->station->config.debug_headers;
    if (held->status >= 400)
        set_request_id(call);
    if (!call->commit_seq && !debug)
        return reply;
    fields->count = held->field_count;
    if (held->field_count)
        memcpy(fields->all, held->fields, held->field_count * sizeof(held->fields[0]));
    if (call->commit_seq)
        add_commit_fields(fields, turns, call);
    if (debug)
        add_debug_fields(fields, turns, call);
    reply.fields = fields->all;
    reply.field_count = fields->count;
    return reply;
}

void answer_send(struct turns *turns, struct call *call)
{
    struct station_fields fields;
    struct exchange_reply reply = reply_of(turns, call, &fields);
    if (call->reply.is_stream) {
        stream_start(turns, call, &reply);
        return;
    }
    exchange_reply(call->exchange, &reply);
    call->exchange = NULL;
    finish(turns, call);
}

/* --- refusal --- */

static void answer_refused(struct turns *turns, struct call *call, int error)
{
    turns->refused++;
    switch (error) {
    case -ENOSPC:
        answer_error(turns, call, 507, "\"limit\":\"disk\"",
                     "no room on the station's disk: nothing was written");
        return;
    case -EFBIG:
        answer_error(turns, call, 413, "\"limit\":\"turn_writes_max\"",
                     "the turn wrote more than %llu bytes (limits.turn_writes_max): nothing was "
                     "written",
                     (unsigned long long)turns->station->config.turn_writes_max);
        return;
    case -EDQUOT:
        answer_error(turns, call, 507, "\"limit\":\"schedules_object_max\"",
                     "%s has %llu schedules already (limits.schedules_object_max): nothing was "
                     "written",
                     call->object->id,
                     (unsigned long long)turns->station->config.schedules_object_max);
        return;
    case -EUSERS:
        answer_error(turns, call, 507, "\"limit\":\"schedules_max\"",
                     "the station has %llu schedules already (limits.schedules_max): nothing was "
                     "written",
                     (unsigned long long)turns->station->config.schedules_max);
        return;
    case -ESTALE:
        answer_error(turns, call, 503, NULL,
                     "%s was removed and came back while this ran: nothing was written",
                     call->object->id);
        return;
    default:
        answer_error(turns, call, 503, error == -ENOMEM ? "\"limit\":\"memory\"" : NULL,
                     "the station could not take the turn (%s): nothing was written",
                     strerror(-error));
    }
}

/* Its effects are not taken: the copy was poisoned, or it was given up before it began. */
static void drop_turn(struct turns *turns, struct call *call, int error)
{
    if (call->exchange)
        answer_refused(turns, call, error);
    else
        answer_forget(turns, call);
}

static void poison(struct worker *w, int error)
{
    w->refuse_through = w->last_sent_id;
    w->refuse_error = error;
    turn_reset_worker(w->station->turns, w);
}

/* --- TURN_DONE --- */

static void count_outcome(struct turns *turns, struct object *o, enum rpc_outcome outcome,
                          unsigned status)
{
    turns->done++;
    o->turns++;
    turns->raised += outcome == RPC_OUTCOME_RAISED;
    turns->timed_out += outcome == RPC_OUTCOME_TIMEOUT;
    o->errors += outcome == RPC_OUTCOME_RAISED || outcome == RPC_OUTCOME_TIMEOUT;
    probation_count(o, outcome == RPC_OUTCOME_TIMEOUT ||
                           (outcome == RPC_OUTCOME_RAISED && status >= 500 && status != 507));
}

static void log_turn(struct worker *w, const struct call *call, unsigned status)
{
    const struct exchange_request *request = exchange_request(call->exchange);
    char request_id[OBJECT_REQUEST_ID_SIZE];
    if (!object_log_turn_due(w->object->log))
        return;
    call_request_id(call, request_id, sizeof(request_id));
    const struct schedule_tick *tick = call->origin.tick;
    struct object_log_turn line = {.wall_us = clock_wall_us(),
                                   .method = tick ? span_of("TICK") : request->method,
                                   .target = tick ? schedule_tick_function(tick) : request->target,
                                   .status = status,
                                   .duration_us =
                                       (loop_now(w->station->loop) - call->sent_ns) / 1000,
                                   .request_id = span_of(request_id),
                                   .version = w->object->version};
    object_log_turn(w->object->log, &line);
}

int answer_take_body(struct worker *w, const struct frame *f, uint64_t size, int *fd)
{
    *fd = -1;
    if ((size > 0) != (f->fd_count == 1))
        return -EPROTO;
    if (size == 0)
        return 0;
    *fd = channel_take_fd(&w->channel, 0);
    if (memfd_verify(*fd, size) == 0)
        return 0;
    memfd_drop(*fd);
    *fd = -1;
    return -EPROTO;
}

/* False: refused, or its reply cannot be given; the call is answered. */
static bool accept_turn(struct worker *w, struct call *call, const struct rpc_turn_done *m,
                        int body_fd)
{
    struct turns *turns = w->station->turns;
    int err = commit_turn(w, call, m);
    if (err) {
        if (body_fd >= 0)
            close(body_fd);
        poison(w, err);
        answer_refused(turns, call, err);
        return false;
    }
    log_turn(w, call, m->status);
    err = held_reply_take(&call->reply, m, body_fd);
    if (err) {
        answer_error(turns, call, err == -E2BIG ? 500 : 503, NULL,
                     err == -E2BIG ? "the handler set more than %d reply fields"
                                   : "no memory for the reply (%d fields at most)",
                     CALL_FIELDS_MAX);
        return false;
    }
    call->gate_seq = store_newest(w->object->state);
    if (call->gate_seq < w->seen_seq)
        call->gate_seq = w->seen_seq;
    if (call->origin.ask) { /* its caller's reply waits instead */
        ask_handled(call->origin.ask, m->outcome, call->gate_seq);
        answer_send(turns, call);
        return true;
    }
    w->gated_streams += call->reply.is_stream;
    gate_hold(turns, call);
    return true;
}

/* Answers that arrive together took what they took together. */
static void count_time(struct worker *w, uint64_t now)
{
    enum { WEIGHT = 8 };
    uint64_t took = now > w->progress_ns ? now - w->progress_ns : 0;
    w->turn_ns = w->turn_ns ? (w->turn_ns * (WEIGHT - 1) + took) / WEIGHT : took;
    w->turn_ns += w->turn_ns == 0;
    w->progress_ns = now;
}

/* The worker has answered: more for it, or for whoever waits for its silence. */
static void after_answer(struct worker *w)
{
    struct worker_table *table = w->station->workers;
    struct worker_ref ref = w->ref;
    struct object *o = w->object;
    if (w->inflight.count == 0) {
        worker_event(w, WORKER_EV_ANSWERED);
        if (worker_get(table, ref))
            lifecycle_worker_answered(w);
    }
    if (w->is_test) {
        test_run_over(w);
        return;
    }
    if (call_queue_count(&o->queue))
        turn_dispatch(o->station->turns, o);
}

/* What is refused anyway is not parsed for it. */
static bool writes_are_sound(const struct worker *w, const struct call *call,
                             const struct rpc_turn_done *m)
{
    bool is_refused = !trial_is(call) && call->id <= w->refuse_through;
    return is_refused || !store_would_take(w->station->store, m->writes, m->write_count) ||
           commit_is_sound(m->writes);
}

bool answer_turn_done(struct worker *w, const struct frame *f, const char **reason)
{
    struct turns *turns = w->station->turns;
    struct rpc_turn_done m;
    int body_fd;
    struct call *call = turn_running(w, f->id);
    *reason = "malformed TURN_DONE";
    if (!rpc_turn_done_decode(f->payload, &m))
        return false;
    *reason = "an answer to a call that cannot be running";
    if (!call)
        return false;
    *reason = "a write that is not JSON under a key of UTF-8";
    if (!writes_are_sound(w, call, &m))
        return false;
    *reason = "a stream for an object";
    if (m.stream && call->origin.kind != RPC_CALL_HTTP)
        return false;
    *reason = "writes of a turn that may only read";
    if (call->readonly && commit_writes_any(&m))
        return false;
    *reason = "a change of a file that it has not staged";
    if (!files_are_of_worker(w, &m.files))
        return false;
    *reason = "a body that is not a sealed memfd of its size";
    if (answer_take_body(w, f, m.body_size, &body_fd) < 0)
        return false;
    turn_take_back(turns, w, call);
    ask_abandon_all(call);
    if (trial_is(call)) {
        if (body_fd >= 0)
            close(body_fd);
        trial_answered(w, call, &m);
        return true;
    }
    call->answered_ns = loop_now(w->station->loop);
    count_time(w, call->answered_ns);
    w->turns++;
    if (!w->is_test)
        count_outcome(turns, w->object, m.outcome, m.status);
    bool taken = false;
    if (!w->is_test)
        lifecycle_proven(w->object);
    if (!call->exchange || call->id <= w->refuse_through) {
        if (body_fd >= 0)
            close(body_fd);
        drop_turn(turns, call, w->refuse_error);
    } else {
        taken = accept_turn(w, call, &m, body_fd);
    }
    if (m.stream && !taken)
        stream_refuse(w, f->id);
    after_answer(w);
    return true;
}

/* --- writes outside any turn --- */

static void note_lost_writes(struct worker *w, const char *why)
{
    object_note(w->object, "ERROR", "state written outside a turn was lost: %s", why);
}

bool answer_outside_writes(struct worker *w, const struct frame *f, const char **reason)
{
    struct rpc_outside_writes m;
    uint64_t seq;
    if (w->reset_id) {
        note_lost_writes(w, "an earlier turn was refused");
        return true;
    }
    *reason = "malformed OUTSIDE_WRITES";
    if (!rpc_outside_writes_decode(f->payload, &m))
        return false;
    if (w->is_test)
        return true;
    *reason = "state of a stateless object";
    if (w->object->endpoint.stateless && worker_ref_is(w->object->worker, w))
        return false;
    if (!worker_ref_is(w->object->worker, w)) {
        note_lost_writes(w, "the worker does not serve the object any more");
        return true;
    }
    if (handover_is_under_way(w->object)) {
        note_lost_writes(w, "the state is being handed over to a new version");
        poison(w, -EBUSY);
        return true;
    }
    *reason = "a write that is not JSON under a key of UTF-8";
    if (store_would_take(w->station->store, m.writes, m.write_count) && !commit_is_sound(m.writes))
        return false;
    int err = store_commit(w->station->store, w->object->state, (struct span){"", 0}, m.writes,
                           m.write_count, &seq);
    if (err) {
        note_lost_writes(w, err == -EFBIG ? "more than one turn may write (limits.turn_writes_max)"
                                          : strerror(-err));
        poison(w, err);
    } else {
        replicas_update(w->object, &(struct rpc_update){.write_count = m.write_count,
                                                        .writes = m.writes,
                                                        .files = {.files = {"", 0}}});
    }
    return true;
}
