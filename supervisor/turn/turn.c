// SPDX-License-Identifier: Apache-2.0
#include "supervisor/turn/turn.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "common/memfd.h"
#include "supervisor/metric.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/loading.h"
#include "supervisor/objects/needs.h"
#include "supervisor/objects/slots.h"
#include "supervisor/schedules/schedule_tick.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/turns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define AHEAD_NS (NS_PER_MS / 5)

struct turns *turns_new(struct station *station)
{
    struct turns *turns = calloc(1, sizeof(*turns));
    if (!turns)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the turns");
    turns->station = station;
    return turns;
}

void turns_free(struct turns *turns)
{
    if (!turns)
        return;
    loop_timer_cancel(&turns->tick);
    gate_free(turns);
    ask_free_orphans(turns);
    free(turns);
}

/* --- admission --- */

/* Calls of the object that have not begun, wherever they wait. */
static size_t waiting_calls(const struct object *o)
{
    size_t count = call_queue_count(&o->queue);
    for (size_t i = 0; i <= o->replicas.count; i++) {
        const struct worker *w = replicas_worker(o, i);
        if (w && w->inflight.count > w->concurrent)
            count += w->inflight.count - w->concurrent;
    }
    return count;
}

static bool admit(struct turns *turns, struct object *o, struct exchange *x)
{
    const struct config *c = &turns->station->config;
    if (turns->station->stopping) {
        exchange_error(x, 503, NULL, "the station is stopping");
        return false;
    }
    if (waiting_calls(o) >= c->queue_object_max) {
        turns->rejected_queue_object++;
        exchange_error(x, 503, "\"limit\":\"queue_object_max\"",
                       "%llu calls wait for %s already (limits.queue_object_max)",
                       (unsigned long long)c->queue_object_max, o->id);
        return false;
    }
    if (turns->queued + turns->sent - turns->running >= c->queue_station_max) {
        turns->rejected_queue_station++;
        exchange_error(x, 503, "\"limit\":\"queue_station_max\"",
                       "%llu calls wait on this station already (limits.queue_station_max)",
                       (unsigned long long)c->queue_station_max);
        return false;
    }
    return true;
}

static void enqueue(struct turns *turns, struct call *call)
{
    call_queue_append(&call->object->queue, call);
    turns->queued++;
    object_mark_queued(turns->station->objects, call->object, true);
}

static struct call *dequeue(struct turns *turns, struct object *o, bool for_owner)
{
    struct call *call = call_queue_pop(&o->queue, for_owner);
    turns->queued--;
    if (call_queue_count(&o->queue) == 0)
        object_mark_queued(turns->station->objects, o, false);
    return call;
}

/* The object itself may be well. */
static void answer_blocked(struct turns *turns, struct call *call)
{
    const struct object *o = call->object;
    struct buf extra = BUF_INIT;
    buf_puts(&extra, "\"object_id\":");
    json_put_string(&extra, o->id, strlen(o->id));
    json_put_member(&extra, "depends_on", needs_blocked_by(o));
    buf_puts(&extra, ",\"retryable\":true");
    exchange_retry_after(call->exchange, (outage_left(o->outage) + NS_PER_S - 1) / NS_PER_S);
    answer_error(turns, call, 503, buf_str(&extra), "%s cannot start: %s", o->id,
                 o->load_error ? o->load_error : "no reason known");
    buf_free(&extra);
}

/* An answer for what cannot be served now, from why that is. */
void turn_answer_unloadable(struct turns *turns, struct call *call)
{
    struct object *o = call->object;
    if (needs_blocked_by(o)) {
        answer_blocked(turns, call);
        return;
    }
    struct buf extra = BUF_INIT;
    load_error_put(&extra, o, o->load_line, o->load_crash_id,
                   o->load_traceback ? span_of(o->load_traceback) : LOAD_ERROR_NO_TRACEBACK);
    answer_error(turns, call, 500, buf_str(&extra), "%s does not load: %s", o->file,
                 o->load_error ? o->load_error : "no reason known");
    buf_free(&extra);
}

static void answer_unservable(struct turns *turns, struct call *call)
{
    if (call->object->phase == OBJECT_GONE)
        answer_error(turns, call, 404, NULL, "object %s is gone", call->object->id);
    else
        turn_answer_unloadable(turns, call);
}

void turn_fail_queue(struct turns *turns, struct object *o)
{
    while (call_queue_count(&o->queue))
        answer_unservable(turns, dequeue(turns, o, true));
}

/* Whoever would wait long is told at once, and when it is worth asking again. */
static void answer_backoff(struct turns *turns, struct call *call, uint64_t left_ns)
{
    const struct outage *outage = call->object->outage;
    struct buf extra = BUF_INIT;
    uint64_t seconds = (left_ns + NS_PER_S - 1) / NS_PER_S;
    buf_puts(&extra, "\"limit\":\"backoff_wait\",\"retryable\":true,\"backoff\":");
    outage_put(&extra, outage);
    turns->rejected_backoff++;
    exchange_retry_after(call->exchange, seconds);
    answer_error(turns, call, 503, buf_str(&extra),
                 "%s has failed (%s) and is started again in %.3g s (workers.backoff_wait)",
                 call->object->id, outage->reason, (double)left_ns / 1e9);
    buf_free(&extra);
}

static bool refuse_in_backoff(struct turns *turns, struct call *call)
{
    const struct object *o = call->object;
    uint64_t left_ns = outage_left(o->outage);
    if (o->load_error && !o->accepted)
        turn_answer_unloadable(turns, call);
    else if (left_ns > turns->station->config.backoff_wait_ns)
        answer_backoff(turns, call, left_ns);
    else
        return false;
    return true;
}

bool turn_lend_slot(struct object *o, struct exchange *x)
{
    if (slots_lend(o))
        return true;
    exchange_error(
        x, 503, "\"limit\":\"workers.max\"",
        "no worker for %s: %llu run, none is idle, and what running turns may add is used "
        "up (workers.max, workers.memory_max)",
        o->id, (unsigned long long)worker_count(o->station->workers));
    return false;
}

void turn_admit(struct turns *turns, struct object *o, struct exchange *x,
                const struct call_origin *origin)
{
    if (!admit(turns, o, x) || (origin->kind == RPC_CALL_OBJECT && !turn_lend_slot(o, x)))
        return;
    struct call *call = object_use(o) < 0 ? NULL : call_new(x, o, origin);
    if (!call) {
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another call");
        return;
    }
    turns->outstanding++;
    if (origin->ask)
        origin->ask->callee = call;
    o->used_ns = loop_now(turns->station->loop);
    if (o->phase == OBJECT_BACKOFF && refuse_in_backoff(turns, call))
        return;
    enqueue(turns, call);
    deadline_arm(turns);
    if (o->phase == OBJECT_SERVING || o->phase == OBJECT_DEPLOYING)
        turn_dispatch(turns, o);
    else
        lifecycle_demand(o);
}

/* --- dispatch --- */

/* A large body goes as a descriptor of its own: the exchange keeps the other. */
static int dup_body(const struct exchange_request *request, int *fd)
{
    *fd = -1;
    if (request->body_fd < 0)
        return 0;
    *fd = fcntl(request->body_fd, F_DUPFD_CLOEXEC, 0);
    return *fd < 0 ? -errno : 0;
}

/* Of a chain of calls, what holds for its client: one object does not lend another its rights. */
static uint32_t management_of_chain(const struct call *call)
{
    const char *why;
    while (call && call->origin.kind == RPC_CALL_OBJECT)
        call = call->origin.ask ? call->origin.ask->caller : NULL;
    return call && call->exchange ? exchange_management(call->exchange, &why) : 403;
}

/* Only a POST can be an action. */
static uint32_t management_of(const struct call *call)
{
    bool is_post = span_equal(exchange_request(call->exchange)->method, "POST");
    return is_post ? management_of_chain(call) : 0;
}

static struct span caller_of(const struct call *call)
{
    const struct ask *ask = call->origin.ask;
    return ask && ask->caller ? span_of(ask->caller->object->id) : (struct span){"", 0};
}

/* Not begun by then, it does not begin. */
static uint64_t expiry_of(const struct call *call)
{
    uint64_t queue = call->arrived_ns + call->object->station->config.queue_timeout_ns;
    uint64_t chain = call->origin.deadline_ns;
    return chain && chain < queue ? chain : queue;
}

/* Of a turn beside others, which the worker has to see to itself. */
static uint64_t timeout_of(const struct call *call)
{
    uint64_t now = loop_now(call->object->station->loop), chain = call->origin.deadline_ns;
    uint64_t own = call->object->endpoint.timeout_ns;
    return chain > now && chain - now < own ? chain - now : own;
}

static int send_call(struct worker *w, struct call *call)
{
    const struct exchange_request *request = exchange_request(call->exchange);
    int fd, err = dup_body(request, &fd);
    if (err)
        return err;
    struct rpc_call m = {.kind = call->origin.kind,
                         .method = call->origin.tick ? schedule_tick_function(call->origin.tick)
                                                     : request->method,
                         .target = request->target,
                         .path_skip = call->origin.path_skip,
                         .head = request->head,
                         .body = fd < 0 ? request->body : (struct span){"", 0},
                         .body_size = fd < 0 ? 0 : request->body_size,
                         .remote_addr = span_of(request->remote_addr),
                         .request_id = request->request_id,
                         .caller = caller_of(call),
                         .expires_ns = expiry_of(call),
                         .management = management_of(call),
                         .readonly = call->readonly,
                         .timeout_ns = w->concurrent > 1 ? timeout_of(call) : 0};
    size_t frame = channel_begin(&w->channel, RPC_CALL, call->id);
    rpc_call_encode(&w->channel.out, &m);
    return channel_end(&w->channel, frame, &fd, fd >= 0 ? 1 : 0);
}

/*
 * Calls sent ahead of a worker's answers save it and us the time of a wake-up each. Where others
 * could run them, they must not wait behind a long turn: only what takes AHEAD_NS is sent ahead
 * then, and nothing once the running turn has lasted longer.
 */
static size_t window_of(const struct object *o, const struct worker *w)
{
    if (o->outage->lasts)
        return 1; /* a probe: what it dies of costs one call */
    if (w->concurrent > 1)
        return w->concurrent;
    if (o->endpoint.workers == 1)
        return TURN_WINDOW;
    bool is_long = loop_now(w->station->loop) - w->progress_ns > AHEAD_NS;
    if (w->turn_ns == 0 || (w->inflight.count && is_long))
        return 1;
    size_t ahead = AHEAD_NS / w->turn_ns;
    return ahead < TURN_WINDOW ? 1 + ahead : TURN_WINDOW;
}

static bool has_room(const struct object *o, const struct worker *w)
{
    return w && w->inflight.count < window_of(o, w);
}

/* The least busy of those that may run what waits; of equals a replica, for the owner has more to
 * do. NULL: none has room, or nothing waits. */
static struct worker *taker(const struct object *o)
{
    struct worker *owner = replicas_worker(o, 0);
    struct worker *best = !o->frozen && has_room(o, owner) ? owner : NULL;
    if (!call_queue_count(&o->queue) || !o->queue.shared.count)
        return call_queue_count(&o->queue) ? best : NULL;
    for (size_t i = 1; i <= o->replicas.count; i++) {
        struct worker *w = replicas_worker(o, i);
        bool is_better =
            !best || (w && (w->inflight.count < best->inflight.count ||
                            (best == owner && w->inflight.count == best->inflight.count)));
        if (has_room(o, w) && is_better && !replicas_is_behind(w))
            best = w;
    }
    return best;
}

void turn_hand_over(struct turns *turns, struct worker *w, struct call *call)
{
    turns->running += w->inflight.count < w->concurrent;
    turns->sent++;
    call_list_append(&w->inflight, call);
}

struct call *turn_running(const struct worker *w, uint64_t id)
{
    struct call *oldest = w->inflight.head;
    if (w->concurrent > 1)
        return call_list_find(&w->inflight, id);
    return oldest && oldest->id == id ? oldest : NULL;
}

void turn_take_back(struct turns *turns, struct worker *w, struct call *call)
{
    call_list_remove(&w->inflight, call);
    turns->sent--;
    turns->running -= w->inflight.count < w->concurrent;
}

/* Nobody waits for it any more: the caller's time is over. */
static bool is_overdue(const struct call *call, uint64_t now)
{
    return call->origin.deadline_ns && now >= call->origin.deadline_ns;
}

void turn_send_to(struct turns *turns, struct worker *w, struct call *call)
{
    call->id = ++turns->last_call_id;
    call->worker = w->ref;
    call->readonly = call_is_readonly(call);
    call->sent_ns = loop_now(turns->station->loop);
    int err = send_call(w, call);
    if (err) {
        answer_error(turns, call, 503, "\"limit\":\"memory\"", "the call could not be sent: %s",
                     strerror(-err));
        return;
    }
    if (w->inflight.count == 0)
        w->progress_ns = call->sent_ns;
    turn_hand_over(turns, w, call);
    w->last_sent_id = call->id;
    worker_event(w, WORKER_EV_CALL);
    worker_touch(w);
}

static void send_next(struct turns *turns, struct object *o, struct worker *w)
{
    struct call *call = dequeue(turns, o, !w->is_replica);
    if (is_overdue(call, loop_now(turns->station->loop)))
        answer_error(turns, call, 504, "\"limit\":\"timeout\"",
                     "the time of the caller was over before its call began");
    else
        turn_send_to(turns, w, call);
}

void turn_dispatch(struct turns *turns, struct object *o)
{
    struct worker *w = taker(o);
    if (!w)
        return;
    o->used_ns = loop_now(turns->station->loop);
    for (; w; w = taker(o))
        send_next(turns, o, w);
    if (turns->outstanding == 1)
        loop_expect(turns->station->loop);
}

/* --- RESET --- */

void turn_reset_worker(struct turns *turns, struct worker *w)
{
    struct buf writes = BUF_INIT;
    struct rpc_reset m;
    int fd, err = loading_state(w->object, &writes, &m.state, &fd);
    if (!err) {
        w->reset_id = ++turns->last_call_id;
        size_t frame = channel_begin(&w->channel, RPC_RESET, w->reset_id);
        rpc_reset_encode(&w->channel.out, &m);
        err = channel_end(&w->channel, frame, &fd, fd >= 0 ? 1 : 0);
    }
    buf_free(&writes);
    if (err) {
        log_warn("worker %d of %s cannot be reset (%s): replaced", (int)w->pid, w->object->id,
                 strerror(-err));
        worker_kill(w, WORKER_BLAME_NONE);
        return;
    }
    worker_touch(w);
}

static bool reset_done(struct worker *w, const struct frame *f, const char **reason)
{
    *reason = "malformed RESET_DONE";
    if (!rpc_empty_decode(f->payload))
        return false;
    if (f->id == w->reset_id) /* else: of an earlier RESET, another is under way */
        w->reset_id = 0;
    return true;
}

/* --- frames and deaths --- */

bool turn_frame(struct worker *w, const struct frame *f, const char **reason)
{
    switch (f->type) {
    case RPC_TURN_DONE:
        return answer_turn_done(w, f, reason);
    case RPC_ASK:
        return ask_frame(w, f, reason);
    case RPC_STREAM_CHUNK:
        return stream_chunk(w, f, reason);
    case RPC_STREAM_END:
        return stream_end(w, f, reason);
    case RPC_OUTSIDE_WRITES:
        return answer_outside_writes(w, f, reason);
    case RPC_RESET_DONE:
        return reset_done(w, f, reason);
    default:
        *reason = "a message that makes no sense";
        return false;
    }
}

void turn_on_durable(void *turns)
{
    gate_release(turns);
}

size_t turn_outstanding(const struct turns *turns)
{
    return turns->outstanding;
}

void turn_status(const struct turns *turns, struct buf *json)
{
    json_put_key(json, "turns");
    buf_putc(json, '{');
    json_put_number(json, "done", turns->done);
    json_put_number(json, "raised", turns->raised);
    json_put_number(json, "timed_out", turns->timed_out);
    json_put_number(json, "crashed", turns->crashed);
    json_put_number(json, "refused", turns->refused);
    json_put_number(json, "commits", turns->commits);
    json_put_number(json, "queued", turns->queued);
    json_put_number(json, "gated", turns->gated.count);
    json_put_number(json, "outstanding", turns->outstanding);
    json_put_key(json, "latency_seconds");
    buf_printf(json, "{\"p50\":%g,\"p99\":%g}}", histogram_quantile(&turns->latency, 0.5),
               histogram_quantile(&turns->latency, 0.99));
}

void turn_metrics(const struct turns *turns, struct buf *text)
{
    metric_counter(text, "turns_total", "Turns that ended.", turns->done);
    metric_counter(text, "turns_raised_total", "Turns whose handler raised.", turns->raised);
    metric_counter(text, "turns_timed_out_total", "Turns that ran past their deadline.",
                   turns->timed_out);
    metric_counter(text, "turns_crashed_total", "Turns whose worker died.", turns->crashed);
    metric_counter(text, "turns_refused_total", "Turns whose writes were refused.", turns->refused);
    metric_counter(text, "commits_total", "Turns that committed something.", turns->commits);
    metric_counter(text, "rejected_queue_object_total", "Calls refused: limits.queue_object_max.",
                   turns->rejected_queue_object);
    metric_counter(text, "rejected_queue_station_total", "Calls refused: limits.queue_station_max.",
                   turns->rejected_queue_station);
    metric_counter(text, "rejected_queue_timeout_total", "Calls refused: workers.queue_timeout.",
                   turns->rejected_queue_timeout);
    metric_counter(text, "rejected_backoff_total", "Calls refused: workers.backoff_wait.",
                   turns->rejected_backoff);
    metric_gauge(text, "queued_calls", "Calls that wait for their turn.", (double)turns->queued);
    metric_gauge(text, "gated_replies", "Replies that wait for the disk.",
                 (double)turns->gated.count);
    histogram_metrics(&turns->latency, "objectd_call_seconds", text);
}
