// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/lifecycle.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "supervisor/log/object_log.h"
#include "supervisor/objects/endpoint.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/turn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#define REMOVAL_GRACE_NS (100 * NS_PER_MS)
#define IDLE_SWEEP_NS    (1 * NS_PER_S)

static void note_load_error(struct object *o, uint32_t line, struct span traceback,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* --- what an object says about itself in its own log --- */

static void note(struct object *o, const char *level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void note(struct object *o, const char *level, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, format);
    buf_vprintf(&text, format, ap);
    va_end(ap);
    if (buf_ok(&text))
        object_log_write(o->log, span_of(level), clock_wall_us(),
                         (struct span){text.data, text.len}, (struct span){"", 0}, o->version,
                         (struct span){"", 0});
    buf_free(&text);
}

static void note_load_error(struct object *o, uint32_t line, struct span traceback,
                            const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, format);
    buf_vprintf(&text, format, ap);
    va_end(ap);
    free(o->load_error);
    free(o->load_traceback);
    o->load_error = buf_take(&text, NULL);
    o->load_traceback = traceback.len ? span_dup(traceback) : NULL;
    o->load_line = line;
    note(o, "ERROR", "%s does not load: %s", o->file, o->load_error ? o->load_error : "?");
    log_info("%s does not load: %s", o->file, o->load_error ? o->load_error : "?");
}

static void forget_load_error(struct object *o)
{
    free(o->load_error);
    free(o->load_traceback);
    o->load_error = o->load_traceback = NULL;
    o->load_line = 0;
}

/* --- LOAD --- */

int lifecycle_state(struct object *o, struct buf *writes, struct rpc_state *state, int *fd)
{
    *state = (struct rpc_state){0};
    int err = store_snapshot(o->station->store, o->state, fd, writes, &state->write_count);
    if (err)
        return err;
    state->has_checkpoint = *fd >= 0;
    state->writes = (struct span){writes->data ? writes->data : "", writes->len};
    return 0;
}

static void put_settings(struct buf *out, const struct station *station)
{
    const struct config *c = &station->config;
    buf_putc(out, '{');
    json_put_member(out, "objects_dir", c->objects_dir);
    json_put_member(out, "station_id", c->station_id);
    json_put_number(out, "boot", station->boot);
    json_put_key(out, "expose_tracebacks");
    buf_puts(out, c->expose_tracebacks ? "true" : "false");
    json_put_number(out, "turn_writes_max", c->turn_writes_max);
    buf_putc(out, '}');
}

static int encode_load(struct worker *w, struct buf *settings, struct buf *writes)
{
    struct object *o = w->object;
    struct station *station = w->station;
    struct buf path = BUF_INIT;
    struct rpc_load m = {.object_id = span_of(o->id),
                         .source = {o->loading->text, o->loading->len}};
    int fd, err = lifecycle_state(o, writes, &m.state, &fd);
    if (err)
        return err;
    buf_printf(&path, "%s/%s", station->config.objects_dir, o->file);
    put_settings(settings, station);
    m.path = (struct span){path.data, path.len};
    m.settings = (struct span){settings->data, settings->len};
    size_t frame = channel_begin(&w->channel, RPC_LOAD, 0);
    if (buf_ok(&path) && buf_ok(settings))
        rpc_load_encode(&w->channel.out, &m);
    else
        w->channel.out.failed = true;
    err = channel_end(&w->channel, frame, &fd, fd >= 0 ? 1 : 0);
    buf_free(&path);
    return err;
}

static int fill_load(struct worker *w)
{
    struct buf settings = BUF_INIT, writes = BUF_INIT;
    int err = encode_load(w, &settings, &writes);
    buf_free(&settings);
    buf_free(&writes);
    w->object->candidate_seq = store_newest(w->object->state);
    return err;
}

/* --- who waits for the metadata --- */

struct object_waiter {
    struct object_waiter *next;
    void (*fn)(void *arg);
    void *arg;
};

static void run_waiters(struct object *o)
{
    struct object_waiter *list = o->waiters;
    o->waiters = NULL;
    while (list) {
        struct object_waiter *w = list;
        list = w->next;
        w->fn(w->arg);
        free(w);
    }
}

int lifecycle_when_loaded(struct object *o, void (*fn)(void *arg), void *arg)
{
    if (o->metadata || (o->phase == OBJECT_BACKOFF && o->load_error)) {
        fn(arg);
        return 0;
    }
    struct object_waiter *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct object_waiter){o->waiters, fn, arg};
    o->waiters = w;
    lifecycle_demand(o);
    return 0;
}

/* --- actions --- */

static void note_unreadable(struct object *o, int err)
{
    if (err == -EFBIG)
        note_load_error(o, 0, (struct span){"", 0}, "it is above limits.source_max (%llu bytes)",
                        (unsigned long long)o->station->config.source_max);
    else
        note_load_error(o, 0, (struct span){"", 0}, "cannot be read: %s", strerror(-err));
}

/*
 * The file's source; for a start from nothing, the accepted one where the file cannot be read or
 * was rejected. NULL: why is noted.
 */
static struct source *pick_source(struct object *o)
{
    const struct config *c = &o->station->config;
    int err;
    struct source *s = source_read(c->objects_dir, o->file, c->source_max, &err);
    if (!s)
        note_unreadable(o, err);
    bool is_rejected = s && o->has_rejected && source_hash_equal(s->hash, o->rejected);
    if ((!s || is_rejected) && o->accepted && o->phase == OBJECT_STARTING) {
        source_unref(s);
        return source_ref(o->accepted);
    }
    return s;
}

static void start_candidate(struct object *o)
{
    struct station *station = o->station;
    source_unref(o->loading);
    o->loading = pick_source(o);
    int err = -ENOENT;
    if (o->loading)
        o->candidate = worker_spawn(station->workers, o, fill_load, &err);
    if (o->loading && err)
        note_load_error(o, 0, (struct span){"", 0}, "no worker: %s", strerror(-err));
    if (err)
        lifecycle_event(o, OBJECT_EV_CANDIDATE_FAILED);
}

static void discard_candidate(struct object *o)
{
    struct station *station = o->station;
    struct worker *w = worker_get(station->workers, o->candidate);
    o->candidate = (struct worker_ref){0};
    o->frozen = false;
    if (w)
        worker_kill(w, WORKER_BLAME_UNWANTED);
}

static bool is_new_source(const struct object *o)
{
    return o->loading && (!o->accepted || !source_hash_equal(o->loading->hash, o->accepted->hash));
}

static void accept_source(struct object *o)
{
    source_unref(o->accepted);
    o->accepted = o->loading;
    o->loading = NULL;
    o->candidate_failed_once = false;
}

static void serve(struct object *o)
{
    struct station *station = o->station;
    struct worker *w = worker_get(station->workers, o->candidate);
    if (w && store_newest(o->state) != o->candidate_seq) /* committed since it loaded */
        turn_reset_worker(station->turns, w);
    o->worker = o->candidate;
    o->candidate = (struct worker_ref){0};
    o->frozen = false;
    o->used_ns = loop_now(station->loop);
    accept_source(o);
    run_waiters(o);
    turn_dispatch(station->turns, o);
}

/* The old worker is silent. */
static void switch_worker(struct object *o)
{
    struct station *station = o->station;
    struct worker *old = worker_get(station->workers, o->worker);
    o->worker = (struct worker_ref){0};
    if (old)
        worker_event(old, WORKER_EV_DRAIN);
    serve(o);
}

static void freeze(struct object *o)
{
    struct station *station = o->station;
    struct worker *old = worker_get(station->workers, o->worker);
    o->frozen = true;
    if (!old || old->inflight.count == 0)
        lifecycle_event(o, OBJECT_EV_DRAINED);
}

static void reject_candidate(struct object *o)
{
    struct station *station = o->station;
    o->candidate = (struct worker_ref){0};
    o->frozen = false;
    if (o->loading) {
        o->rejected = o->loading->hash;
        o->has_rejected = true;
        source_unref(o->loading);
        o->loading = NULL;
    }
    turn_dispatch(station->turns, o);
}

static uint32_t jitter(void)
{
    uint32_t value = 0;
    if (getrandom(&value, sizeof(value), 0) != sizeof(value))
        value = (uint32_t)clock_mono_ns();
    return value;
}

static void on_retry(void *arg);

static void wait_before_retry(struct object *o)
{
    struct station *station = o->station;
    loop_timer_set(station->loop, &o->retry_timer, backoff_delay(&o->backoff, jitter()), on_retry,
                   o);
}

/* A start failed. With an accepted source to fall back on, that one is tried at once. */
static void fail_start(struct object *o)
{
    struct station *station = o->station;
    bool was_new = is_new_source(o);
    reject_candidate(o);
    if (was_new && o->accepted && !o->candidate_failed_once) {
        o->candidate_failed_once = true;
        lifecycle_event(o, OBJECT_EV_RETRY);
        return;
    }
    backoff_count(&o->backoff, 0);
    wait_before_retry(o);
    turn_fail_queue(station->turns, o);
    run_waiters(o);
}

static void lose_worker(struct object *o)
{
    struct station *station = o->station;
    struct worker *candidate = worker_get(station->workers, o->candidate);
    o->worker = (struct worker_ref){0};
    bool was_frozen = o->frozen;
    o->frozen = false;
    if (candidate && was_frozen)
        lifecycle_event(o, OBJECT_EV_READY);
}

static void probe(struct object *o)
{
    if (o->queue.count || o->waiters)
        lifecycle_event(o, OBJECT_EV_DEMAND);
}

static void revive(struct object *o)
{
    loop_timer_cancel(&o->retry_timer);
    backoff_reset(&o->backoff);
    forget_load_error(o);
    o->has_rejected = false;
    o->candidate_failed_once = false;
    probe(o);
}

static void cool(struct object *o)
{
    struct station *station = o->station;
    struct worker *w = worker_get(station->workers, o->worker);
    o->worker = (struct worker_ref){0};
    if (w)
        worker_event(w, WORKER_EV_DRAIN);
}

static void end(struct object *o)
{
    struct station *station = o->station;
    log_info("object %s is gone", o->id);
    loop_timer_cancel(&o->retry_timer);
    discard_candidate(o);
    cool(o);
    source_unref(o->accepted);
    o->accepted = NULL;
    forget_load_error(o);
    turn_fail_queue(station->turns, o);
    run_waiters(o);
}

static void restart_candidate(struct object *o)
{
    discard_candidate(o);
    o->has_rejected = false;
    start_candidate(o);
}

static void wait_after_death(struct object *o)
{
    o->worker = (struct worker_ref){0};
    wait_before_retry(o);
}

static void nothing(struct object *o)
{
    (void)o;
}

static void (*const actions[])(struct object *o) = {
    [OBJECT_DO_NOTHING] = nothing,
    [OBJECT_DO_START] = start_candidate,
    [OBJECT_DO_RESTART] = restart_candidate,
    [OBJECT_DO_SERVE] = serve,
    [OBJECT_DO_FREEZE] = freeze,
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

void lifecycle_event(struct object *o, enum object_event event)
{
    struct object_step step = object_fsm_step(o->phase, event);
    if (step.next != o->phase)
        log_debug("object %s: %s, %s -> %s", o->id, object_event_name(event),
                  object_phase_name(o->phase), object_phase_name(step.next));
    o->phase = step.next;
    actions[step.action](o);
}

/* --- timers --- */

static void on_retry(void *arg)
{
    lifecycle_event(arg, OBJECT_EV_RETRY);
}

static void on_removed(void *arg)
{
    lifecycle_event(arg, OBJECT_EV_REMOVED);
}

static void sweep_object(struct object *o, void *arg)
{
    struct station *station = arg;
    struct worker *w = worker_get(station->workers, o->worker);
    if (!w || w->state != WORKER_READY || w->streams.count || o->queue.count)
        return;
    if (loop_now(station->loop) - o->used_ns >= o->idle_timeout_ns)
        lifecycle_event(o, OBJECT_EV_IDLE);
}

static void sweep(void *arg)
{
    static struct loop_timer timer;
    struct station *station = arg;
    object_each(station->objects, sweep_object, station);
    loop_timer_set(station->loop, &timer, IDLE_SWEEP_NS, sweep, station);
}

void lifecycle_start(struct station *station)
{
    sweep(station);
}

/* --- events from outside --- */

void lifecycle_demand(struct object *o)
{
    if (o->phase == OBJECT_COLD)
        lifecycle_event(o, OBJECT_EV_DEMAND);
}

void lifecycle_source_changed(struct object *o)
{
    struct station *station = o->station;
    int err;
    loop_timer_cancel(&o->removal_timer);
    struct source *s =
        source_read(station->config.objects_dir, o->file, station->config.source_max, &err);
    bool serves = s && !o->loading && o->accepted && source_hash_equal(s->hash, o->accepted->hash);
    bool loads = s && o->loading && source_hash_equal(s->hash, o->loading->hash);
    bool rejected = s && o->has_rejected && source_hash_equal(s->hash, o->rejected);
    source_unref(s);
    if (serves) { /* back to what serves: a newer one that failed is history */
        o->has_rejected = false;
        forget_load_error(o);
    }
    if (!(serves || loads || rejected) || o->phase == OBJECT_GONE)
        lifecycle_event(o, OBJECT_EV_SOURCE);
}

void lifecycle_source_missing(struct object *o)
{
    struct station *station = o->station;
    if (o->phase == OBJECT_GONE)
        return;
    loop_timer_set(station->loop, &o->removal_timer, REMOVAL_GRACE_NS, on_removed, o);
}

static bool is_candidate(const struct worker *w)
{
    return worker_ref_is(w->object->candidate, w);
}

static void candidate_failed(struct worker *w)
{
    lifecycle_event(w->object, OBJECT_EV_CANDIDATE_FAILED);
}

void lifecycle_worker_ready(struct worker *w, struct span metadata)
{
    struct object *o = w->object;
    if (!is_candidate(w))
        return;
    char problem[200];
    if (!endpoint_apply(o, w->station, metadata, problem, sizeof(problem))) {
        note_load_error(o, 0, (struct span){"", 0}, "%s", problem);
        worker_kill(w, WORKER_BLAME_UNWANTED);
        candidate_failed(w);
        return;
    }
    if (is_new_source(o)) { /* else: started again, or fallen back: the newer one's error stays */
        o->version++;
        forget_load_error(o);
    }
    lifecycle_event(o, OBJECT_EV_READY);
}

void lifecycle_worker_load_failed(struct worker *w, const struct rpc_load_failed *why)
{
    if (!is_candidate(w))
        return;
    note_load_error(w->object, why->line, why->traceback, "%.*s", (int)why->error.len,
                    why->error.data);
    candidate_failed(w);
}

void lifecycle_worker_answered(struct worker *w)
{
    struct object *o = w->object;
    if (o->frozen && worker_ref_is(o->worker, w))
        lifecycle_event(o, OBJECT_EV_DRAINED);
}

static void candidate_died(struct worker *w, int wait_status)
{
    if (w->blame == WORKER_BLAME_LOAD_TIME)
        note_load_error(w->object, 0, (struct span){"", 0},
                        "its import took longer than workers.start_timeout (%.3g s)",
                        (double)w->station->config.start_timeout_ns / 1e9);
    else
        note_load_error(w->object, 0, (struct span){"", 0}, "the worker ended while importing: %s",
                        worker_death_text(wait_status));
    candidate_failed(w);
}

/* Calls that a draining worker left behind when it died. */
static void serve_leftovers(struct object *o)
{
    if (o->queue.count && o->phase == OBJECT_GONE)
        turn_fail_queue(o->station->turns, o);
    else if (o->queue.count)
        lifecycle_demand(o);
}

void lifecycle_worker_dead(struct worker *w, int wait_status)
{
    struct object *o = w->object;
    if (is_candidate(w)) {
        candidate_died(w, wait_status);
        return;
    }
    if (!worker_ref_is(o->worker, w)) {
        serve_leftovers(o);
        return;
    }
    bool wanted = w->blame != WORKER_BLAME_UNWANTED;
    if (wanted) {
        o->crashes++;
        o->restarts++;
        note(o, "ERROR", "worker %d died: %s", (int)w->pid, worker_death_text(wait_status));
        if (!w->station->stopping)
            log_info("worker %d of %s died: %s", (int)w->pid, o->id,
                     worker_death_text(wait_status));
        backoff_count(&o->backoff, clock_mono_ns() - w->born_ns);
    }
    lifecycle_event(o, OBJECT_EV_WORKER_DIED);
}
