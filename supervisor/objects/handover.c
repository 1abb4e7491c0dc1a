// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/handover.h"

#include "common/failpoint.h"
#include "common/log.h"
#include "common/state_key.h"
#include "supervisor/files/file_changes.h"
#include "supervisor/objects/candidate.h"
#include "supervisor/objects/deploy.h"
#include "supervisor/objects/lifecycle.h"
#include "supervisor/objects/load_error.h"
#include "supervisor/objects/loading.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What migrate_state() changed, until it is committed. */
struct handover {
    struct buf writes, files;
    uint32_t write_count, file_count;
};

/* --- is there something to migrate? --- */

/* The version whose state it is; 0: there was none, so nothing is to be migrated. */
static uint64_t old_version(const struct object *o)
{
    return deploy_lacks_version(o) ? o->history.accepted : o->history.previous;
}

bool handover_migrates(const struct object *o)
{
    const struct worker *w = candidate_worker(o);
    if (!w || !w->has_migrate || old_version(o) == 0)
        return false;
    return deploy_lacks_version(o) || w->migrated < o->loading_version;
}

bool handover_is_under_way(const struct object *o)
{
    return o->handover != NULL;
}

void handover_drop(struct object *o)
{
    struct handover *h = o->handover;
    o->handover = NULL;
    if (!h)
        return;
    buf_free(&h->writes);
    buf_free(&h->files);
    free(h);
}

/* --- giving the state --- */

static void update(struct object *o, struct worker *w)
{
    if (store_newest(o->state) == o->candidate_seq)
        return;
    o->candidate_seq = store_newest(o->state);
    turn_reset_worker(o->station->turns, w);
}

static void fail(struct object *o, int err, const char *what)
{
    load_error_note(o, 0, LOAD_ERROR_NO_TRACEBACK, "%s: %s", what, strerror(-err));
    deploy_try_later(o, err);
    loading_drop(o);
    candidate_give_up(o);
}

static void migrate(struct object *o, struct worker *w)
{
    o->handover = calloc(1, sizeof(*o->handover));
    o->stage = CANDIDATE_MIGRATING;
    int err = o->handover ? trial_begin(w, RPC_CALL_MIGRATE, old_version(o)) : -ENOMEM;
    if (err)
        fail(o, err, "migrate_state() cannot be run");
}

void handover_begin(struct object *o)
{
    struct worker *w = candidate_worker(o);
    if (o->handover || !w) /* it is on its way; its death is told otherwise */
        return;
    lifecycle_passed(o, "drained");
    update(o, w);
    if (handover_migrates(o))
        migrate(o, w);
    else
        lifecycle_event(o, OBJECT_EV_HANDED);
}

/* --- what migrate_state() wrote --- */

static int keep(struct handover *h, const struct rpc_turn_done *m)
{
    buf_append(&h->writes, m->writes.data, m->writes.len);
    buf_append(&h->files, m->files.files.data, m->files.files.len);
    h->write_count = m->write_count;
    h->file_count = m->files.count;
    return buf_ok(&h->writes) && buf_ok(&h->files) ? 0 : -ENOMEM;
}

void handover_migrated(struct worker *w, const struct rpc_turn_done *m)
{
    struct object *o = w->object;
    if (!candidate_is(w) || !o->handover)
        return;
    /* Not left to the commit: what is too large was not parsed, and the limit may be raised. */
    if (!store_would_take(o->station->store, m->writes, m->write_count)) {
        fail(o, -EFBIG, "migrate_state() wrote more than one turn may (limits.turn_writes_max)");
        return;
    }
    int err = keep(o->handover, m);
    if (err) {
        fail(o, err, "what migrate_state() wrote cannot be kept");
        return;
    }
    lifecycle_passed(o, "migrated");
    if (!deploy_holds_ready(o))
        handover_stored(o, o->loading_version);
}

static void add_mark(struct handover *h, uint64_t version)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)version);
    rpc_write_encode(&h->writes, &(struct rpc_write){.op = RPC_WRITE_SET,
                                                     .key = STATE_KEY_MIGRATED,
                                                     .value = {text, (size_t)len}});
    h->write_count++;
}

static int commit(struct object *o, uint64_t version)
{
    struct handover *h = o->handover;
    int err = FAILPOINT("migrate-commit");
    if (err)
        return err;
    struct rpc_files files = {h->file_count, {h->files.data ? h->files.data : "", h->files.len}};
    add_mark(h, version);
    if (!buf_ok(&h->writes))
        return -ENOMEM;
    struct file_change *change = h->file_count ? file_change_new(o, &files) : NULL;
    if (h->file_count && !change)
        return -ENOMEM;
    struct store_turn turn = {.request_id = {"", 0},
                              .writes = {h->writes.data, h->writes.len},
                              .write_count = h->write_count,
                              .files = files};
    uint64_t seq;
    err = store_commit_turn(o->station->store, o->state, &turn, &seq);
    if (err)
        file_change_free(change);
    else if (change)
        file_change_accept(change, seq);
    return err;
}

void handover_stored(struct object *o, uint64_t version)
{
    lifecycle_passed(o, "stored");
    int err = commit(o, version);
    if (err) {
        fail(o, err, "the migrated state cannot be written");
        return;
    }
    lifecycle_passed(o, "committed");
    o->candidate_seq = store_newest(o->state);
    o->migrated = version;
    object_note(o, "INFO", "its state was migrated for version %llu", (unsigned long long)version);
    lifecycle_event(o, OBJECT_EV_HANDED);
}
