// SPDX-License-Identifier: Apache-2.0
#include "supervisor/turn/ask.h"

#include "common/clock.h"
#include "common/shared_page.h"
#include "supervisor/http/inside.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/object_name.h"
#include "supervisor/station.h"
#include "supervisor/turn/turns.h"
#include "supervisor/turn/wait_graph.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANSWERS_UNREAD_MAX = 16 * 1024 * 1024 /* bytes; large bodies are memfds */ };

/* --- the list it is on --- */

static struct ask **list_of(struct ask *ask)
{
    return ask->caller ? &ask->caller->asks : &ask->turns->orphans;
}

static void link_ask(struct ask *ask)
{
    struct ask **list = list_of(ask);
    ask->prev = NULL;
    ask->next = *list;
    if (ask->next)
        ask->next->prev = ask;
    *list = ask;
    if (ask->caller)
        ask->turns->waiting += ask->caller->ask_count++ == 0;
}

static void unlink_ask(struct ask *ask)
{
    if (ask->prev)
        ask->prev->next = ask->next;
    else
        *list_of(ask) = ask->next;
    if (ask->next)
        ask->next->prev = ask->prev;
    if (ask->caller)
        ask->turns->waiting -= --ask->caller->ask_count == 0;
}

static struct ask *ask_new(struct call *caller, uint64_t number)
{
    struct ask *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return NULL;
    ask->turns = caller->object->station->turns;
    ask->caller = caller;
    ask->number = number;
    link_ask(ask);
    return ask;
}

static void ask_free(struct ask *ask)
{
    loop_timer_cancel(&ask->timer);
    if (ask->callee)
        ask->callee->origin.ask = NULL;
    unlink_ask(ask);
    free(ask);
}

/* Nobody waits any more; its reply, when it comes, is dropped. */
static void abandon(struct ask *ask)
{
    loop_timer_cancel(&ask->timer);
    unlink_ask(ask);
    ask->caller = NULL;
    link_ask(ask);
}

void ask_abandon_all(struct call *caller)
{
    while (caller->asks)
        abandon(caller->asks);
}

void ask_free_orphans(struct turns *turns)
{
    while (turns->orphans)
        ask_free(turns->orphans);
}

/* --- the answer --- */

static struct worker *worker_of(const struct call *call)
{
    return worker_get(call->object->station->workers, call->worker);
}

/* One turn goes on while all others wait for it, one behind the other: it is soon heard of. */
static void expect_next(struct turns *turns)
{
    if (turns->running <= turns->waiting + 1)
        loop_expect(turns->station->loop);
}

/* Lack of memory: the turn waits until its deadline. */
static void send_answer(struct worker *w, uint64_t number, const struct rpc_answer *m, int body_fd)
{
    size_t frame = channel_begin(&w->answers, RPC_ANSWER, number);
    rpc_answer_encode(&w->answers.out, m);
    int err = channel_end(&w->answers, frame, &body_fd, body_fd >= 0);
    w->answers_queued++;
    if (err)
        log_warn("an answer to a turn of %s is lost: %s", w->object->id, strerror(-err));
    worker_touch(w);
}

static void on_reply(void *context, const struct exchange_reply *reply)
{
    struct ask *ask = context;
    struct worker *w = ask->caller ? worker_of(ask->caller) : NULL;
    int body_fd = reply->body_fd > 0 && reply->body_size ? reply->body_fd : -1;
    if (reply->body_fd > 0 && (body_fd < 0 || !w))
        close(reply->body_fd);
    if (w) {
        struct rpc_answer m = {
            .status = reply->status,
            .by_station = !ask->by_handler,
            .outcome = ask->outcome,
            .content_type = span_of(reply->content_type ? reply->content_type : ""),
            .body = {reply->body, body_fd < 0 && reply->body ? reply->body_size : 0},
            .body_size = body_fd < 0 ? 0 : reply->body_size};
        send_answer(w, ask->number, &m, body_fd);
    }
    struct turns *turns = ask->turns;
    free(reply->body);
    ask_free(ask);
    expect_next(turns);
}

void ask_handled(struct ask *ask, enum rpc_outcome outcome, uint64_t seq)
{
    struct worker *w = ask->caller ? worker_of(ask->caller) : NULL;
    ask->by_handler = true;
    ask->outcome = outcome;
    /* Module variables may keep what a turn was shown: later replies wait for it too. */
    if (w && w->seen_seq < seq)
        w->seen_seq = seq;
}

/* The station's answer to a turn that nothing was started for, or that waited long enough. */
static void answer_now(struct worker *w, uint64_t number, unsigned status, const char *extra,
                       const char *text)
{
    struct buf json = BUF_INIT;
    exchange_error_text(&json, extra, text);
    struct rpc_answer m = {.status = status,
                           .by_station = true,
                           .content_type = span_of("application/json; charset=utf-8"),
                           .body = span_of(buf_str(&json))};
    send_answer(w, number, &m, -1);
    buf_free(&json);
}

static void on_late(void *arg)
{
    struct ask *ask = arg;
    struct worker *w = worker_of(ask->caller);
    if (w)
        answer_now(w, ask->number, 504, "\"limit\":\"timeout\"",
                   "no answer within the time that the caller gives it");
    abandon(ask);
}

/* --- what is asked --- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return !a || (b && b < a) ? b : a;
}

/*
 * The worker's page says when the turn began; never believed outside what we know ourselves: it was
 * sent then, and runs now.
 */
static uint64_t deadline_of_turn(struct worker *w, struct call *call)
{
    uint64_t started = w->page->started_ns, now = clock_mono_ns();
    if (!call->began_ns)
        call->began_ns = started >= call->sent_ns && started <= now ? started : call->sent_ns;
    return earlier(call->began_ns + w->object->endpoint.timeout_ns, call->origin.deadline_ns);
}

static const char *head_of(enum rpc_ask_body kind)
{
    static const char *const heads[RPC_ASK_BODIES] = {
        [RPC_ASK_NONE] = "",
        [RPC_ASK_JSON] = "Content-Type: application/json\r\n",
        [RPC_ASK_TEXT] = "Content-Type: text/plain; charset=utf-8\r\n",
        [RPC_ASK_BYTES] = "Content-Type: application/octet-stream\r\n",
    };
    return heads[kind];
}

/* As if a client had sent it. */
static struct exchange *make_exchange(struct ask *ask, const struct rpc_ask *m,
                                      const char *object_id, int body_fd, int *err)
{
    struct buf target = BUF_INIT;
    char request_id[OBJECT_REQUEST_ID_SIZE];
    const char *method = inside_method(m->method);
    call_request_id(ask->caller, request_id, sizeof(request_id));
    buf_printf(&target, "/objects/%s", object_id);
    if (m->query.len) {
        buf_putc(&target, '?');
        buf_append(&target, m->query.data, m->query.len);
    }
    const struct exchange *client = ask->caller->exchange;
    struct inside_request request = {
        .method = method ? method : "GET",
        .target = {target.data, target.len},
        .head = span_of(head_of(m->body_kind)),
        .body = m->body,
        .body_fd = body_fd,
        .body_size = m->body_size,
        .remote_addr = span_of(client ? exchange_request(client)->remote_addr : ""),
        .request_id = span_of(request_id)};
    struct exchange *x = NULL;
    if (buf_ok(&target)) {
        x = inside_new(ask->turns->station->front, &request, on_reply, ask, err);
    } else {
        *err = -ENOMEM;
        if (body_fd >= 0)
            close(body_fd);
    }
    buf_free(&target);
    return x;
}

static bool may_call(struct ask *ask, struct object *o, struct exchange *x)
{
    const struct config *c = &ask->turns->station->config;
    struct call *caller = ask->caller;
    struct buf extra = BUF_INIT;
    buf_puts(&extra, "\"cycle\":");
    bool closes = wait_graph_closes(caller, o, exchange_request(x)->method, &extra);
    if (closes)
        exchange_error(x, 508, buf_str(&extra),
                       "%s waits for this turn of %s: they would never end", o->id,
                       caller->object->id);
    buf_free(&extra);
    if (closes)
        return false;
    if (caller->origin.depth + 1 < c->call_depth_max)
        return true;
    exchange_error(x, 508, "\"limit\":\"call_depth_max\"",
                   "%llu objects wait for each other already (limits.call_depth_max)",
                   (unsigned long long)c->call_depth_max);
    return false;
}

static void start_call(struct ask *ask, struct object *o, struct exchange *x)
{
    struct call_origin origin = {.kind = RPC_CALL_OBJECT,
                                 .path_skip = (uint32_t)exchange_request(x)->target.len,
                                 .ask = ask,
                                 .depth = ask->caller->origin.depth + 1,
                                 .deadline_ns = ask->deadline_ns};
    if (!may_call(ask, o, x))
        return;
    struct turns *turns = ask->turns;
    turn_admit(turns, o, x, &origin); /* it may be answered already, and the ask gone */
    expect_next(turns);
}

static void set_deadline(struct ask *ask, struct worker *w, uint64_t timeout_ns)
{
    struct loop *loop = ask->turns->station->loop;
    ask->deadline_ns = deadline_of_turn(w, ask->caller);
    if (timeout_ns == 0)
        return;
    uint64_t own = loop_now(loop) + timeout_ns;
    if (own < loop_now(loop) || own >= ask->deadline_ns)
        return; /* the turn ends before */
    ask->deadline_ns = own;
    loop_timer_set(loop, &ask->timer, timeout_ns, on_late, ask);
}

static void start(struct ask *ask, struct worker *w, const struct rpc_ask *m, int body_fd)
{
    struct station *station = w->station;
    struct object_name name;
    struct object *o = object_name_find(station, m->object, &name);
    int err;
    struct exchange *x = make_exchange(ask, m, o ? o->id : "", body_fd, &err);
    if (!x) {
        answer_now(w, ask->number, 503,
                   err == -ENOSPC ? "\"limit\":\"bodies_max\"" : "\"limit\":\"memory\"",
                   "no room for another call");
        ask_free(ask);
        return;
    }
    set_deadline(ask, w, m->timeout_ns);
    if (w->is_test)
        exchange_error(x, 403, NULL, "tests do not call other objects");
    else if (ask->caller->id <= w->refuse_through)
        exchange_error(x, 503, NULL, "what this turn does is not taken: its state was refused");
    else if (ask->caller->ask_count + w->answers_queued > station->config.turn_asks_max)
        exchange_error(x, 503, "\"limit\":\"turn_asks_max\"",
                       "the turn has %llu answers to wait for, or to read (limits.turn_asks_max)",
                       (unsigned long long)station->config.turn_asks_max);
    else if (!o)
        exchange_error(x, name.is_elsewhere ? 503 : 404, NULL, "%s", name.problem);
    else if (!inside_method(m->method))
        exchange_error(x, 400, NULL, "no such HTTP method");
    else if (m->kind == RPC_ASK_VIEW && !span_equal(m->method, "GET"))
        exchange_error(x, 400, NULL, "a turn sees what GET shows, and no more");
    else if (m->kind == RPC_ASK_VIEW)
        inside_dispatch(x);
    else
        start_call(ask, o, x);
}

bool ask_frame(struct worker *w, const struct frame *f, const char **reason)
{
    struct rpc_ask m;
    int body_fd;
    struct call *caller = turn_running(w, f->id);
    *reason = "malformed ASK";
    if (!rpc_ask_decode(f->payload, &m))
        return false;
    if (w->state == WORKER_REAPED)
        return true; /* its last words: nobody waits for an answer */
    *reason = "an ASK that is not of the running turn";
    if (!caller)
        return false;
    *reason = "it asks, and reads no answers";
    if (w->answers.out.len > ANSWERS_UNREAD_MAX)
        return false;
    *reason = "a body that is not a sealed memfd of its size";
    if (answer_take_body(w, f, m.body_size, &body_fd) < 0)
        return false;
    struct ask *ask = ask_new(caller, m.number);
    if (ask) {
        start(ask, w, &m, body_fd);
        return true;
    }
    if (body_fd >= 0)
        close(body_fd);
    answer_now(w, m.number, 503, "\"limit\":\"memory\"", "no memory for another call");
    return true;
}
