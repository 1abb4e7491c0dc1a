// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/saved.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/objects/deploy.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/needs.h"
#include "supervisor/objects/renew.h"
#include "supervisor/station.h"

#include <errno.h>

#define REMOVAL_GRACE_NS  (100 * NS_PER_MS)
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

void saved_file(struct object *o)
{
    loop_timer_cancel(&o->removal_timer);
    o->file_changed = true;
    if (deploy_is_pinned(o))
        return;
    if (may_wait(o))
        lifecycle_event(o, OBJECT_EV_SOURCE);
    else
        file_checks_ask(o->station->file_checks, &o->file_check, compare, o);
}

static void on_imports(void *arg)
{
    struct object *o = arg;
    if (o->phase == OBJECT_COLD || o->phase == OBJECT_GONE)
        return; /* the next start imports what is there */
    log_debug("object %s: what it imports has changed", o->id);
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
