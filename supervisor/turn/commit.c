// SPDX-License-Identifier: Apache-2.0
#include "supervisor/turn/commit.h"

#include "common/json_scan.h"
#include "common/state_key.h"
#include "common/utf8.h"
#include "supervisor/files/file_changes.h"
#include "supervisor/objects/object.h"
#include "supervisor/schedules/schedule_tick.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/turns.h"

#include <errno.h>

bool commit_is_sound(struct span writes)
{
    struct codec_reader r = codec_reader_of(writes.data, writes.len);
    struct rpc_write w;
    while (rpc_write_next(&r, &w))
        if (!utf8_valid(w.key.data, w.key.len) || state_key_is_own(w.key) ||
            (w.op == RPC_WRITE_SET && !json_scan_valid(w.value)))
            return false;
    return true;
}

bool commit_writes_any(const struct rpc_turn_done *m)
{
    return m->write_count || m->files.count || m->schedules.count;
}

/* What it asked for, and, where it was a tick, what came of it. */
static int change_schedules(struct schedule_change *c, const struct call *call,
                            const struct rpc_turn_done *m)
{
    int err = schedule_change_asked(c, &m->schedules);
    if (!err && call->origin.tick)
        err = schedule_tick_ended(call->origin.tick, c, m->outcome, m->body);
    return err ? err : schedule_change_write(c);
}

static int record_turn(struct worker *w, struct call *call, const struct rpc_turn_done *m,
                       const struct schedule_change *schedules)
{
    struct file_change *change = NULL;
    if (m->files.count && !(change = file_change_new(w->object, &m->files)))
        return -ENOMEM;
    struct store_turn turn = {.request_id = call_client_request_id(call),
                              .writes = m->writes,
                              .write_count = m->write_count,
                              .files = m->files,
                              .timers = {schedules->text.data, schedules->text.len},
                              .timer_count = schedules->count};
    int err = store_commit_turn(w->station->store, w->object->state, &turn, &call->commit_seq);
    if (err) {
        file_change_free(change);
        return err;
    }
    if (change)
        file_change_accept(change, call->commit_seq);
    w->station->turns->commits++;
    if (m->write_count || m->files.count)
        replicas_update(w->object, &(struct rpc_update){m->write_count, m->writes, m->files});
    return 0;
}

int commit_turn(struct worker *w, struct call *call, const struct rpc_turn_done *m)
{
    struct worker_ref serving = w->object->worker;
    struct schedule_change schedules;
    if ((!commit_writes_any(m) && !call->origin.tick) || w->is_test)
        return 0; /* nothing that tests write is taken */
    if (commit_writes_any(m) && worker_ref_set(serving) && !worker_ref_is(serving, w))
        return -ESTALE; /* another one has a copy of the state without these writes */
    schedule_change_begin(&schedules, w->object);
    int err = change_schedules(&schedules, call, m);
    if (!err && (commit_writes_any(m) || schedules.count))
        err = record_turn(w, call, m, &schedules);
    if (err && call->origin.tick)
        schedule_tick_refused(call->origin.tick);
    if (err)
        schedule_change_drop(&schedules);
    else
        schedule_change_accept(&schedules, call->commit_seq);
    return err;
}
