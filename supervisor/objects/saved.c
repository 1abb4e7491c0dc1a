// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/saved.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/objects/deploy.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/needs.h"
#include "supervisor/objects/outage.h"
#include "supervisor/objects/renew.h"
#include "supervisor/schedules/schedules.h"
#include "supervisor/station.h"

#include <errno.h>

#define REMOVAL_GRACE_NS  (100 * NS_PER_MS)
#define SETTLE_NS         (8 * NS_PER_MS)  /* without another write of the file */
#define SETTLE_MAX_NS     (20 * NS_PER_MS) /* since the first */
#define EMPTY_GRACE_NS    (1 * NS_PER_S)   /* it was emptied: more of it is to come */
#define IMPORTS_GATHER_NS (10 * NS_PER_MS) /* several files are often saved at once */

/*
 * An order under way writes the file; it decides, and is asked again when it is over. Objects that
 * are removed together end in the order of what they depend on.
 */
static void on_removed(void *arg)
{
    struct object *o = arg;
    if (deploy_is_pinned(o) || needs_outlive(o))
        saved_missing(o);
    else
        lifecycle_event(o, OBJECT_EV_REMOVED);
}

static void on_settled(void *arg);

/* Editors that write in place empty the file first; nobody means that to serve. */
static bool waits_for_content(struct object *o, const struct source *s)
{
    bool is_strange = s && s->len == 0 && o->accepted && o->accepted->len > 0;
    if (!is_strange || o->is_emptied) {
        o->is_emptied = false;
        return false;
    }
    o->is_emptied = true;
    loop_timer_set(o->station->loop, &o->settle_timer, EMPTY_GRACE_NS, on_settled, o);
    return true;
}

static void compare(void *arg)
{
    struct object *o = arg;
    struct station *station = o->station;
    int err;
    if (deploy_is_pinned(o))
        return;
    struct source *s =
        source_read(station->config.objects_dir, o->file, station->config.source_max, &err);
    if (!s && (err == -ENOENT || err == -ENOTDIR)) { /* it is gone again: nothing to load */
        o->file_changed = false;
        saved_missing(o);
        return;
    }
    if (waits_for_content(o, s)) {
        source_unref(s);
        return;
    }
    bool serves = s && !o->loading && o->accepted && sha256_equal(s->hash, o->accepted->hash);
    bool loads = s && o->loading && sha256_equal(s->hash, o->loading->hash);
    bool rejected = s && !o->loading && history_rejects(&o->history, s->hash);
    source_unref(s);
    if (serves) /* back to what serves: a newer one that failed is history */
        load_error_forget(o);
    if (!(serves || loads || rejected) || o->phase == OBJECT_GONE)
        lifecycle_event(o, OBJECT_EV_SOURCE);
    else
        o->file_changed = false;
}

/* Without a worker its next start reads the file anyway: a station has many such objects. */
static bool may_wait(const struct object *o)
{
    return o->phase == OBJECT_COLD && !o->load_error;
}

static void on_settled(void *arg)
{
    struct object *o = arg;
    file_checks_ask(o->station->file_checks, &o->file_check, compare, o);
}

/* A file that is saved by several writes is looked at when they are over. */
static void settle(struct object *o)
{
    struct loop *loop = o->station->loop;
    uint64_t now = loop_now(loop);
    if (!loop_timer_armed(&o->settle_timer) || o->is_emptied)
        o->settle_ns = now;
    o->is_emptied = false;
    uint64_t end = o->settle_ns + SETTLE_MAX_NS, left = end > now ? end - now : 0;
    loop_timer_set(loop, &o->settle_timer, left < SETTLE_NS ? left : SETTLE_NS, on_settled, o);
}

bool saved_is_settling(const struct object *o)
{
    return loop_timer_armed(&o->settle_timer);
}

void saved_file(struct object *o)
{
    loop_timer_cancel(&o->removal_timer);
    o->file_changed = true;
    if (deploy_is_pinned(o))
        return;
    if (may_wait(o)) {
        lifecycle_event(o, OBJECT_EV_SOURCE);
        schedules_look_into(o);
    } else {
        settle(o);
    }
}

static void on_imports(void *arg)
{
    struct object *o = arg;
    if (o->phase == OBJECT_COLD || o->phase == OBJECT_GONE)
        return; /* the next start imports what is there */
    log_debug("object %s: what it imports has changed", o->id);
    outage_forget_memory(o->outage);
    renew_soon(o);
}

void saved_import(struct object *o)
{
    struct loop *loop = o->station->loop;
    if (!loop_timer_armed(&o->import_timer))
        loop_timer_set(loop, &o->import_timer, IMPORTS_GATHER_NS, on_imports, o);
}

void saved_missing(struct object *o)
{
    struct station *station = o->station;
    if (o->phase == OBJECT_GONE)
        return;
    loop_timer_set(station->loop, &o->removal_timer, REMOVAL_GRACE_NS, on_removed, o);
}
