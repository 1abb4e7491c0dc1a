// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/renew.h"

#include "supervisor/objects/deploy.h"
#include "supervisor/objects/lifecycle.h"

static bool is_loading(const struct object *o)
{
    return o->phase == OBJECT_STARTING || o->phase == OBJECT_DEPLOYING;
}

bool renew_is_under_way(const struct object *o)
{
    return is_loading(o) || (o->phase == OBJECT_SERVING && o->reload);
}

void renew_settle(struct object *o)
{
    if (o->renewals && !renew_is_under_way(o))
        waiters_run(&o->renewals);
}

void renew_soon(struct object *o)
{
    o->reload = history_is_rejected(&o->history) ? OBJECT_RELOAD_FILE : OBJECT_RELOAD_ACCEPTED;
    if (!deploy_is_pinned(o)) /* else deploy_next() comes back to it */
        lifecycle_event(o, OBJECT_EV_SOURCE);
}

static bool has_worker(const struct object *o)
{
    return o->phase == OBJECT_SERVING || is_loading(o);
}

int renew_object(struct object *o, void (*fn)(void *arg), void *arg)
{
    int err = fn ? waiters_add(&o->renewals, fn, arg) : 0;
    if (err)
        return err;
    outage_forget(o->outage); /* whoever asks for it has done something about it */
    if (has_worker(o))
        renew_soon(o);
    else if (o->phase == OBJECT_BACKOFF)
        lifecycle_event(o, OBJECT_EV_SOURCE);
    renew_settle(o);
    return 0;
}
