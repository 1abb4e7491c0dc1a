// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/replicas.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/shared_page.h"
#include "supervisor/objects/loading.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/slots.h"
#include "supervisor/station.h"
#include "supervisor/turn/turn.h"

#include <errno.h>
#include <stdlib.h>

#define BEHIND_NS     (20 * NS_PER_MS) /* without progress */
#define LAG_CHECK_NS  (20 * NS_PER_MS)
#define ROOM_CHECK_NS (500 * NS_PER_MS) /* until there is room for another worker */

/* --- the list --- */

static struct worker *worker_of(const struct object *o, size_t i)
{
    return worker_get(o->station->workers, o->replicas.refs[i]);
}

static int add(struct replicas *r, struct worker_ref ref)
{
    if (r->count == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 4;
        struct worker_ref *grown = realloc(r->refs, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        r->refs = grown;
        r->cap = cap;
    }
    r->refs[r->count++] = ref;
    return 0;
}

static bool is_listed(const struct replicas *r, const struct worker *w, size_t *at)
{
    for (*at = 0; *at < r->count; ++*at)
        if (worker_ref_is(r->refs[*at], w))
            return true;
    return false;
}

static bool take_out(struct object *o, const struct worker *w)
{
    size_t at;
    if (!is_listed(&o->replicas, w, &at))
        return false;
    o->replicas.refs[at] = o->replicas.refs[--o->replicas.count];
    return true;
}

bool replicas_has(const struct object *o, const struct worker *w)
{
    size_t at;
    return is_listed(&o->replicas, w, &at);
}

struct worker *replicas_worker(const struct object *o, size_t i)
{
    struct worker *w = i == 0 ? worker_get(o->station->workers, o->worker) : worker_of(o, i - 1);
    return w && (w->state == WORKER_READY || w->state == WORKER_BUSY) ? w : NULL;
}

void replicas_free(struct replicas *r)
{
    loop_timer_cancel(&r->start_timer);
    loop_timer_cancel(&r->lag_timer);
    free(r->refs);
    *r = (struct replicas){0};
}

/* --- starting, ending --- */

static void on_start(void *arg)
{
    replicas_fill(arg);
}

static void start_later(struct object *o)
{
    uint64_t delay = backoff_delay(&o->replicas.backoff, clock_mono_ns(), backoff_jitter());
    if (!o->station->stopping && !loop_timer_armed(&o->replicas.start_timer))
        loop_timer_set(o->station->loop, &o->replicas.start_timer, delay, on_start, o);
}

static int start_one(struct object *o)
{
    struct worker_ref ref;
    int err = loading_start_replica(o, &ref);
    if (err)
        return err;
    err = add(&o->replicas, ref);
    if (err)
        worker_kill(worker_get(o->station->workers, ref), WORKER_BLAME_UNWANTED);
    return err;
}

static bool are_wanted(const struct object *o)
{
    return (o->phase == OBJECT_SERVING || o->phase == OBJECT_DEPLOYING) && !o->station->stopping &&
           !o->outage->lasts && worker_ref_set(o->worker);
}

void replicas_fill(struct object *o)
{
    while (are_wanted(o) && o->replicas.count + 1 < o->endpoint.workers) {
        if (!slots_have_room(o->station)) {
            loop_timer_set(o->station->loop, &o->replicas.start_timer, ROOM_CHECK_NS, on_start, o);
            return;
        }
        int err = start_one(o);
        if (!err)
            continue;
        log_warn("no replica of %s: %s", o->id, strerror(-err));
        backoff_failed(&o->replicas.backoff, clock_mono_ns());
        start_later(o);
        return;
    }
}

bool replicas_wait(const struct object *o)
{
    return are_wanted(o) && o->replicas.count + 1 < o->endpoint.workers &&
           !slots_have_room(o->station);
}

void replicas_drain(struct object *o)
{
    loop_timer_cancel(&o->replicas.start_timer);
    loop_timer_cancel(&o->replicas.lag_timer);
    backoff_reset(&o->replicas.backoff);
    while (o->replicas.count) {
        struct worker *w = worker_of(o, o->replicas.count - 1);
        o->replicas.count--;
        if (w)
            worker_event(w, WORKER_EV_DRAIN);
    }
}

/* --- writes --- */

static void note_progress(struct worker *w, uint64_t now)
{
    uint64_t applied = w->page->applied_id;
    if (applied < w->update_id && applied == w->applied_seen)
        return;
    w->applied_seen = applied;
    w->progressed_ns = now;
}

/* What it has not applied; a page may say anything. */
static uint64_t lag_bytes(const struct worker *w)
{
    uint64_t applied = w->page->applied_id;
    return applied < w->update_id ? w->update_id - applied : 0;
}

bool replicas_is_behind(const struct worker *w)
{
    return lag_bytes(w) > 0 && w->page->applied_id == w->applied_seen &&
           loop_now(w->station->loop) - w->progressed_ns > BEHIND_NS;
}

static void give_up(struct worker *w, const char *limit)
{
    log_warn("worker %d of %s does not follow the writes (%s): replaced", (int)w->pid,
             w->object->id, limit);
    worker_kill(w, WORKER_BLAME_LAG);
}

/* One that runs a turn has until the turn's deadline. */
static void check_lag(struct worker *w, uint64_t now)
{
    bool serves = w->state == WORKER_READY || w->state == WORKER_BUSY;
    note_progress(w, now);
    if (serves && lag_bytes(w) > 0 && w->page->running_id == 0 &&
        now - w->progressed_ns > w->station->config.replica_lag_timeout_ns)
        give_up(w, "workers.replica_lag_timeout");
}

static void on_lag(void *arg)
{
    struct object *o = arg;
    uint64_t now = loop_now(o->station->loop);
    bool any = false;
    for (size_t i = 0; i < o->replicas.count; i++) {
        struct worker *w = worker_of(o, i);
        if (w)
            check_lag(w, now);
        any |= w && lag_bytes(w) > 0;
    }
    if (any)
        loop_timer_set(o->station->loop, &o->replicas.lag_timer, LAG_CHECK_NS, on_lag, o);
    turn_dispatch(o->station->turns, o); /* who has caught up gets turns again */
}

static int queue_update(struct worker *w, const struct rpc_update *update)
{
    note_progress(w, loop_now(w->station->loop));
    w->update_id += sizeof(struct rpc_header) + update->writes.len + update->files.files.len;
    size_t frame = channel_begin(&w->channel, RPC_UPDATE, w->update_id);
    rpc_update_encode(&w->channel.out, update);
    int err = channel_end(&w->channel, frame, NULL, 0);
    worker_touch(w);
    return err;
}

static void update_one(struct worker *w, const struct rpc_update *update)
{
    int err = queue_update(w, update);
    if (err)
        give_up(w, strerror(-err));
    else if (lag_bytes(w) > w->station->config.replica_lag_max)
        give_up(w, "limits.replica_lag_max");
}

void replicas_update(struct object *o, const struct rpc_update *update)
{
    for (size_t i = o->replicas.count; i-- > 0;) {
        struct worker *w = worker_of(o, i);
        if (w && w->state != WORKER_KILLED)
            update_one(w, update);
    }
    if (o->replicas.count && !loop_timer_armed(&o->replicas.lag_timer))
        loop_timer_set(o->station->loop, &o->replicas.lag_timer, LAG_CHECK_NS, on_lag, o);
}

/* --- deaths --- */

static void send_promote(struct worker *w)
{
    /* Lack of memory: its writes outside turns stay refused. */
    channel_end(&w->channel, channel_begin(&w->channel, RPC_PROMOTE, 0), NULL, 0);
    worker_touch(w);
}

/* It is replaced after a while. */
static void count_death(const struct worker *w)
{
    struct object *o = w->object;
    uint64_t now_ns = clock_mono_ns(), lived_ns = now_ns - w->born_ns;
    backoff_died(&o->replicas.backoff, now_ns, lived_ns);
    outage_count(o->outage, lived_ns, w->blame == WORKER_BLAME_MEMORY);
    start_later(o);
}

bool replicas_promote(struct object *o, const struct worker *dead)
{
    struct worker *best = NULL;
    for (size_t i = 1; i <= o->replicas.count; i++) {
        struct worker *w = replicas_worker(o, i);
        if (w && !replicas_is_behind(w) && (!best || w->inflight.count < best->inflight.count))
            best = w;
    }
    if (!best || o->station->stopping)
        return false;
    take_out(o, best);
    best->is_replica = false;
    o->worker = best->ref;
    send_promote(best);
    count_death(dead);
    return true;
}

void replicas_load_failed(struct worker *w, const struct rpc_load_failed *why)
{
    struct object *o = w->object;
    take_out(o, w);
    object_note(o, "ERROR", "a replica does not load: %.*s", (int)why->error.len, why->error.data);
    log_warn("a replica of %s does not load: %.*s", o->id, (int)why->error.len, why->error.data);
    backoff_failed(&o->replicas.backoff, clock_mono_ns());
    start_later(o);
}

void replicas_dead(struct worker *w)
{
    struct object *o = w->object;
    take_out(o, w);
    count_death(w);
    turn_dispatch(o->station->turns, o);
}
