// SPDX-License-Identifier: Apache-2.0
#include "worker/py_turn.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "worker/file_stage.h"
#include "worker/py_action.h"
#include "worker/py_ask.h"
#include "worker/py_async.h"
#include "worker/py_call_error.h"
#include "worker/py_concurrent.h"
#include "worker/py_error.h"
#include "worker/py_files.h"
#include "worker/py_handlers.h"
#include "worker/py_json.h"
#include "worker/py_reply.h"
#include "worker/py_request.h"
#include "worker/py_runtime.h"
#include "worker/py_schedule.h"
#include "worker/py_scope.h"
#include "worker/py_state.h"
#include "worker/py_stream.h"
#include "worker/turn.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* --- calls that no handler sees --- */

static void add_allow(struct reply *reply)
{
    reply_add_field(reply, span_of("Allow"), span_of(py_handlers_allow()));
}

static void answer_without_handler(struct reply *reply, struct span method)
{
    const char *id = PyUnicode_AsUTF8(py_runtime_facts()->object_id);
    if (span_equal(method, "OPTIONS")) {
        reply_clear(reply);
        reply->status = 204;
    } else if (!py_handlers_any()) {
        reply_error(reply, 405, RPC_OUTCOME_REFUSED,
                    "object %s has no handlers: define GET(request) or another HTTP method",
                    id ? id : "?");
    } else {
        reply_error(reply, 405, RPC_OUTCOME_REFUSED, "object %s has no %.*s", id ? id : "?",
                    (int)method.len, method.data);
    }
    add_allow(reply);
}

static void refuse_body(struct reply *reply)
{
    struct py_error e;
    if (!PyErr_ExceptionMatches(PyExc_ValueError)) {
        py_error_take(&e, NULL);
        reply_error(reply, 500, RPC_OUTCOME_REFUSED, "%s", buf_str(&e.summary));
    } else {
        py_error_take(&e, NULL);
        const char *text = buf_str(&e.summary), *colon = strstr(text, ": ");
        reply_error(reply, 400, RPC_OUTCOME_REFUSED, "malformed request: %s",
                    colon ? colon + 2 : text);
    }
    py_error_free(&e);
}

/* --- failures --- */

static void put_member(struct buf *out, const char *name, const struct buf *text)
{
    json_put_key(out, name);
    json_put_string(out, text->data ? text->data : "", text->len);
}

static void undo(void)
{
    py_state_undo();
    file_stage_undo();
    py_schedule_undo();
}

/* What runs: a handler, or a function that an action calls. */
struct run {
    uint64_t id;
    uint64_t started_ns, timeout_ns;
    PyObject *request;
    PyObject *argument; /* of a tick: its payload; NULL: the request; borrowed */
    const struct call_plan *plan;
    const struct action *action; /* NULL: a handler */
    bool is_head;
    bool for_object; /* another object calls */
    bool is_tick;    /* nobody does: nothing is answered */
};

/* members: more of it, each with a comma before it. */
static void put_failure(struct reply *reply, const struct py_error *e, bool timed_out,
                        uint64_t started_ns, const struct buf *members)
{
    struct buf *text = &reply->text;
    buf_puts(text, "{\"status\":\"error\"");
    if (timed_out) {
        struct buf message = BUF_INIT;
        double seconds = (double)(clock_mono_ns() - started_ns) / (double)NS_PER_S;
        buf_printf(&message, "the handler timed out after %.1f s", seconds);
        put_member(text, "error", &message);
        json_put_member(text, "limit", "timeout");
        json_put_member(text, "error_type", "TimeoutError"); /* asyncio may say CancelledError */
        buf_free(&message);
    } else {
        put_member(text, "error", &e->summary);
        put_member(text, "error_type", &e->type);
    }
    if (members->len)
        buf_append(text, members->data, members->len);
}

/* The limit that the exception being raised names as met; NULL none. */
static const char *full_limit(void)
{
    PyObject *exception = py_take_exception();
    const char *limit = py_files_full(exception);
    if (exception)
        py_raise_again(exception);
    return limit;
}

/* The exception being raised becomes the answer. An object that calls gets the traceback always. */
static void answer_exception(struct reply *reply, const struct run *how)
{
    struct py_error e;
    struct buf members = BUF_INIT;
    bool timed_out = py_scope_timed_out();
    const char *full = timed_out ? NULL : full_limit();
    uint32_t status = timed_out ? 504 : full ? 507 : py_call_error_status(&members);
    if (full)
        buf_printf(&members, ",\"limit\":\"%s\"", full);
    py_error_take(&e, NULL);
    undo();
    py_turn_release(reply);
    py_error_log_taken(&e, timed_out ? "timed out" : NULL);
    reply_clear(reply);
    reply->status = status ? status : 500;
    reply->outcome = timed_out ? RPC_OUTCOME_TIMEOUT : RPC_OUTCOME_RAISED;
    put_failure(reply, &e, timed_out, how->started_ns, &members);
    if ((how->for_object || py_runtime_facts()->expose_tracebacks) && e.traceback.len > 0)
        put_member(&reply->text, "traceback", &e.traceback);
    buf_putc(&reply->text, '}');
    buf_free(&members);
    reply_use_text(reply, "application/json; charset=utf-8");
    py_error_free(&e);
}

static void answer_too_much(struct reply *reply)
{
    size_t size = reply->writes.len;
    undo();
    py_turn_release(reply);
    reply_error(reply, 413, RPC_OUTCOME_RAISED,
                "the turn writes %zu bytes of state, the limit is "
                "%llu",
                size, (unsigned long long)py_runtime_facts()->turn_writes_max);
    reply_name_limit(reply, "turn_writes_max");
}

static void answer_long_stream(struct reply *reply)
{
    undo();
    py_turn_release(reply);
    reply_error(reply, 500, RPC_OUTCOME_RAISED,
                "the streamed reply is longer than %llu bytes: an object that calls gets it whole",
                (unsigned long long)py_runtime_facts()->body_max);
    reply_name_limit(reply, "body_max");
}

/* --- the turn itself --- */

static bool is_awaitable(PyObject *value)
{
    PyAsyncMethods *methods = Py_TYPE(value)->tp_as_async;
    return methods && methods->am_await;
}

/* The generator runs within the turn, and may no more than it may after one. */
static int collect_stream(struct reply *reply, PyObject *stream)
{
    py_scope_set_kind(SCOPE_STREAM);
    int err = py_stream_collect(stream, py_runtime_facts()->body_max, &reply->text);
    py_scope_set_kind(SCOPE_TURN);
    reply->is_stream = false;
    reply->body = (struct span){reply->text.data, reply->text.len};
    return err == -EFBIG ? -E2BIG : err;
}

static int open_stream(const struct run *how, struct reply *reply, PyObject *stream)
{
    if (!how->is_head)
        return py_stream_open(how->id, stream, how->request, how->timeout_ns);
    reply->is_stream = false;
    py_stream_drop(stream);
    return 0;
}

/* Whatever it returned is nobody's; but a generator has not run. */
static int end_tick(struct reply *reply, PyObject *result)
{
    reply->status = 204;
    if (!PyGen_CheckExact(result) && !PyAsyncGen_CheckExact(result))
        return 0;
    PyErr_SetString(PyExc_TypeError,
                    "a function that yields does nothing as a tick: nobody reads what it yields");
    return -1;
}

static int finish(const struct run *how, struct reply *reply, PyObject *result)
{
    PyObject *stream = NULL;
    int err = how->is_tick ? end_tick(reply, result)
                           : py_reply_fill(reply, result, how->request, &stream);
    if (!err && stream && how->for_object)
        err = collect_stream(reply, stream);
    if (!err)
        err = py_files_prepare(reply);
    if (!err)
        err = py_state_commit(reply);
    if (!err) {
        file_stage_commit();
        py_schedule_commit(reply);
    }
    if (!err && stream && !how->for_object)
        err = open_stream(how, reply, stream);
    Py_XDECREF(stream);
    return err;
}

/* result: taken; NULL: it raised. */
static void conclude(const struct run *how, PyObject *result, struct reply *reply)
{
    if (result && how->action)
        Py_SETREF(result, py_action_answer(how->action, result));
    int err = result ? finish(how, reply, result) : -1;
    Py_XDECREF(result);
    if (err == -EFBIG)
        answer_too_much(reply);
    else if (err == -E2BIG)
        answer_long_stream(reply);
    else if (err < 0)
        answer_exception(reply, how);
    py_ask_end_turn(how->id);
}

/* --- turns that run at once --- */

static struct reply later_reply; /* of the task that has just ended */

static void free_run(struct run *how)
{
    Py_DECREF(how->request);
    free(how);
}

static void end_later(void *arg, PyObject *result)
{
    struct run *how = arg;
    reply_clear(&later_reply);
    conclude(how, result, &later_reply);
    turn_answer(how->id, &later_reply);
    free_run(how);
}

/* 0: it goes on as a task, and end_later() answers. awaitable: taken. */
static int go_on(const struct run *how, PyObject *awaitable)
{
    struct run *kept = malloc(sizeof(*kept));
    if (!kept) {
        Py_DECREF(awaitable);
        PyErr_NoMemory();
        return -1;
    }
    *kept = *how;
    Py_INCREF(kept->request);
    py_request_detach(kept->request);
    int err = py_concurrent_start(awaitable, how->timeout_ns, end_later, kept, NULL);
    if (err < 0)
        free_run(kept);
    return err;
}

/* False: it goes on, and is answered later. */
static bool run(const struct run *how, struct reply *reply)
{
    py_scope_enter(SCOPE_TURN, how->id, how->request);
    PyObject *result = py_signature_call(how->plan, how->argument ? how->argument : how->request);
    if (result && is_awaitable(result)) {
        if (!py_concurrent_is_on())
            result = py_async_run(result);
        else if (go_on(how, result) == 0)
            return false;
        else
            result = NULL;
    }
    conclude(how, result, reply);
    py_scope_leave();
    return true;
}

static void refuse_action(const struct rpc_call *call, const char *name, struct reply *reply)
{
    reply_error(reply, call->management, RPC_OUTCOME_REFUSED,
                "the action %s is management, which is not allowed here (security management)",
                name);
}

static bool run_or_refuse(struct run *how, const struct rpc_call *call, struct reply *reply)
{
    if (how->action && call->management) {
        refuse_action(call, how->action->name, reply);
        return true;
    }
    if (how->action)
        how->plan = &how->action->plan;
    if (how->plan)
        return run(how, reply);
    answer_without_handler(reply, call->method);
    return true;
}

/* --- ticks --- */

/* It gets the request where it asks for one by name, or is a handler; else the payload. */
static PyObject *tick_argument(const struct rpc_call *call, const struct run *how)
{
    PyObject *payload = call->body.len ? py_json_decode(call->body.data, call->body.len) : Py_None;
    if (!call->body.len)
        Py_INCREF(payload);
    bool wants_request = how->plan->names_request || py_handlers_get(call->method) ||
                         span_equal(call->method, "start") || span_equal(call->method, "stop");
    if (payload && wants_request && (payload == Py_None || PyDict_Check(payload))) {
        Py_DECREF(payload);
        Py_INCREF(how->request);
        return how->request;
    }
    return payload;
}

static void answer_missing(struct reply *reply, struct span function)
{
    struct py_error e;
    if (PyErr_Occurred()) {
        py_error_take(&e, NULL);
        py_error_log_taken(&e, NULL);
        reply_error(reply, 500, RPC_OUTCOME_RAISED, "%s", buf_str(&e.summary));
        py_error_free(&e);
        return;
    }
    reply_error(reply, 404, RPC_OUTCOME_MISSING, "the module has no function %.*s",
                (int)function.len, function.data);
}

/* False: it goes on, and is answered later. */
static bool run_tick(uint64_t id, const struct rpc_call *call, int body_fd, struct reply *reply)
{
    struct run how = {.id = id,
                      .started_ns = turn_started_ns(),
                      .timeout_ns = call->timeout_ns,
                      .plan = py_schedule_plan(call->method),
                      .is_tick = true};
    bool is_answered = true;
    if (body_fd >= 0) /* payloads are small */
        close(body_fd);
    if (how.plan) {
        how.request = py_request_new(id, call, -1);
        if (how.request && py_request_fill(how.request) == 0)
            how.argument = tick_argument(call, &how);
    }
    if (how.argument)
        is_answered = run(&how, reply);
    else
        answer_missing(reply, call->method);
    if (how.request)
        py_request_detach(how.request);
    Py_XDECREF(how.argument);
    Py_XDECREF(how.request);
    return is_answered;
}

bool py_turn_run(uint64_t id, const struct rpc_call *call, int body_fd, struct reply *reply)
{
    reply_clear(reply);
    py_state_set_readonly(call->readonly);
    if (call->kind == RPC_CALL_TIMER)
        return run_tick(id, call, body_fd, reply);
    struct run how = {.id = id,
                      .started_ns = turn_started_ns(),
                      .timeout_ns = call->timeout_ns,
                      .plan = py_handlers_get(call->method),
                      .is_head = span_equal(call->method, "HEAD"),
                      .for_object = call->kind == RPC_CALL_OBJECT};
    bool may_act = py_action_possible(call->method), is_answered = true;
    if (!how.plan && !may_act) {
        if (body_fd >= 0)
            close(body_fd);
        answer_without_handler(reply, call->method);
        return true;
    }
    how.request = py_request_new(id, call, body_fd);
    if (!how.request || py_request_fill(how.request) < 0) {
        refuse_body(reply);
    } else {
        how.action = may_act ? py_action_of(how.request) : NULL;
        is_answered = run_or_refuse(&how, call, reply);
    }
    if (how.request)
        py_request_detach(how.request);
    Py_XDECREF(how.request);
    return is_answered;
}

void py_turn_release(struct reply *reply)
{
    Py_CLEAR(reply->body_owner);
}
