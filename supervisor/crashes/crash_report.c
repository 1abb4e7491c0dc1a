// SPDX-License-Identifier: Apache-2.0
#include "supervisor/crashes/crash_report.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "supervisor/crashes/crash_stacks.h"
#include "supervisor/objects/object.h"
#include "supervisor/process/worker_death.h"
#include "supervisor/schedules/schedule_tick.h"
#include "supervisor/station.h"
#include "supervisor/turn/ask.h"
#include "supervisor/turn/turn.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { CALLS_MAX = 32, CHAIN_MAX = 32, TARGET_MAX = 500 /* bytes */ };

/* --- how it ended --- */

static const char *role_of(const struct worker *w)
{
    if (w->is_test)
        return "test";
    if (worker_ref_is(w->object->candidate, w))
        return "candidate";
    if (replicas_has(w->object, w))
        return "replica";
    return worker_ref_is(w->object->worker, w) ? "owner" : "draining";
}

static void put_ending(struct buf *json, const struct worker *w, int wait_status)
{
    char reason[WORKER_DEATH_SIZE];
    worker_death_reason(w, wait_status, reason);
    json_put_member(json, "reason", reason);
    json_put_member(json, "blame", worker_blame_name(w->blame));
    if (WIFSIGNALED(wait_status)) {
        const char *name = sigabbrev_np(WTERMSIG(wait_status));
        json_put_number(json, "signal", (unsigned)WTERMSIG(wait_status));
        json_put_key(json, "signal_name");
        if (name)
            buf_printf(json, "\"SIG%s\"", name);
        else
            buf_puts(json, "null");
    } else {
        json_put_number(json, "exit_code", (unsigned)WEXITSTATUS(wait_status));
    }
}

static void put_seconds(struct buf *json, const char *key, double seconds)
{
    json_put_key(json, key);
    buf_printf(json, "%.3f", seconds);
}

static double seconds_since(uint64_t now_ns, uint64_t then_ns)
{
    return now_ns > then_ns ? (double)(now_ns - then_ns) / 1e9 : 0;
}

static void put_process(struct buf *json, const struct worker *w)
{
    json_put_member(json, "state", worker_state_name(w->last_state));
    json_put_member(json, "role", role_of(w));
    json_put_number(json, "pid", (unsigned)w->pid);
    json_put_number(json, "generation", w->ref.generation);
    json_put_number(json, "version", w->version);
    put_seconds(json, "uptime_seconds", seconds_since(clock_mono_ns(), w->born_ns));
    json_put_number(json, "turns", w->turns);
}

/* --- what it was at --- */

static void put_method(struct buf *json, struct span method, struct span path)
{
    json_put_key(json, "method");
    json_put_string(json, method.data, method.len);
    json_put_key(json, "path");
    json_put_string(json, path.data, path.len < TARGET_MAX ? path.len : TARGET_MAX);
}

/*
 * As it was received; a long one is cut. Empty when its client has gone. What no client asked for
 * has a name of its own, and its function as path.
 */
static void put_request(struct buf *json, const struct call *call)
{
    const struct schedule_tick *tick = call->origin.tick;
    if (call->origin.kind == RPC_CALL_HEALTH)
        put_method(json, span_of("HEALTH"), span_of("health"));
    else if (call->origin.kind == RPC_CALL_MIGRATE)
        put_method(json, span_of("MIGRATE"), span_of("migrate_state"));
    else if (call->exchange && tick)
        put_method(json, span_of("TICK"), schedule_tick_function(tick));
    else if (call->exchange)
        put_method(json, exchange_request(call->exchange)->method,
                   exchange_request(call->exchange)->target);
}

/* The objects whose turns wait for this one, nearest first. */
static void put_chain(struct buf *json, const struct call *call)
{
    json_put_key(json, "chain");
    buf_putc(json, '[');
    for (int i = 0; i < CHAIN_MAX && call && call->origin.ask; i++) {
        call = call->origin.ask->caller;
        if (!call)
            break;
        buf_puts(json, i ? "," : "");
        json_put_string(json, call->object->id, strlen(call->object->id));
    }
    buf_putc(json, ']');
}

static void put_call(struct buf *json, const struct worker *w, const struct call *call,
                     const char *state)
{
    char request_id[OBJECT_REQUEST_ID_SIZE] = "";
    uint64_t now_ns = clock_mono_ns();
    if (call->exchange)
        call_request_id(call, request_id, sizeof(request_id));
    buf_putc(json, '{');
    json_put_member(json, "state", state);
    put_request(json, call);
    json_put_member(json, "request_id", request_id);
    put_seconds(json, "waited_seconds", seconds_since(call->sent_ns, call->arrived_ns));
    put_seconds(json, "running_seconds",
                *state == 'q' ? 0 : seconds_since(now_ns, turn_began_ns(w, call)));
    put_chain(json, call);
    buf_putc(json, '}');
}

static void put_calls(struct buf *json, const struct worker *w)
{
    uint64_t begun = turn_newest_begun(w);
    const struct call *call;
    int shown = 0;
    json_put_key(json, "calls");
    buf_putc(json, '[');
    for (call = w->inflight.head; call && shown < CALLS_MAX; call = call->next) {
        buf_puts(json, shown++ ? "," : "");
        put_call(json, w, call, call->id <= begun ? "running" : "queued");
    }
    for (call = w->streams.head; call && shown < CALLS_MAX; call = call->next) {
        buf_puts(json, shown++ ? "," : "");
        put_call(json, w, call, "streaming");
    }
    buf_putc(json, ']');
    json_put_number(json, "calls_count", w->inflight.count + w->streams.count);
}

/* Of the list: the call that was running, else one whose reply was being streamed. */
static void put_running(struct buf *json, const struct worker *w)
{
    const struct call *call = w->inflight.head;
    if (!call || call->id > turn_newest_begun(w))
        call = w->streams.head;
    if (call)
        put_request(json, call);
}

/* --- the rest --- */

static void put_source(struct buf *json, const struct worker *w)
{
    char hash[SHA256_TEXT_SIZE];
    sha256_text(w->source_hash, hash);
    json_put_key(json, "source");
    buf_putc(json, '{');
    json_put_member(json, "file", w->object->file);
    json_put_number(json, "version", w->version);
    json_put_member(json, "hash", hash);
    buf_putc(json, '}');
}

static double of_timeval(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void put_rusage(struct buf *json, const struct rusage *u)
{
    json_put_key(json, "rusage");
    buf_putc(json, '{');
    put_seconds(json, "user_seconds", of_timeval(u->ru_utime));
    put_seconds(json, "system_seconds", of_timeval(u->ru_stime));
    json_put_number(json, "max_rss_bytes", (unsigned long long)u->ru_maxrss * 1024);
    json_put_number(json, "minor_faults", (unsigned long long)u->ru_minflt);
    json_put_number(json, "major_faults", (unsigned long long)u->ru_majflt);
    json_put_number(json, "blocks_in", (unsigned long long)u->ru_inblock);
    json_put_number(json, "blocks_out", (unsigned long long)u->ru_oublock);
    json_put_number(json, "voluntary_switches", (unsigned long long)u->ru_nvcsw);
    json_put_number(json, "involuntary_switches", (unsigned long long)u->ru_nivcsw);
    buf_putc(json, '}');
}

static void put_text(struct buf *json, const char *key, struct span text)
{
    buf_puts(json, ",\n");
    buf_printf(json, "\"%s\":", key);
    if (text.len)
        json_put_string(json, text.data, text.len);
    else
        buf_puts(json, "null");
}

static void put_output(struct buf *json, struct worker *w)
{
    struct span text = output_tail_text(&w->stderr_tail);
    struct crash_stacks stacks = crash_stacks_find(text, w->pid);
    if (stacks.has_ended && !w->dumped_ns) /* somebody else's question, long ago */
        stacks = (struct crash_stacks){{"", 0}, {"", 0}, false};
    put_text(json, "python_stack", stacks.python);
    put_text(json, "c_stack", stacks.c);
    buf_puts(json, ",\n\"stderr\":");
    json_put_string(json, text.data, text.len);
    json_put_number(json, "stderr_bytes", w->stderr_tail.total);
}

void crash_report_put(struct buf *json, struct worker *w, int wait_status, uint64_t wall_us)
{
    char when[CLOCK_ISO_SIZE];
    clock_iso(wall_us, when);
    buf_putc(json, '{');
    json_put_member(json, "crash_id", w->crash_id);
    json_put_member(json, "timestamp", when);
    json_put_member(json, "object_id", w->object->id);
    put_ending(json, w, wait_status);
    put_process(json, w);
    put_running(json, w);
    buf_puts(json, ",\n\"objectd\":{");
    json_put_member(json, "station_id", w->station->config.station_id);
    json_put_number(json, "boot", w->station->boot);
    buf_putc(json, '}');
    put_source(json, w);
    put_rusage(json, &w->usage);
    put_calls(json, w);
    put_output(json, w);
}
