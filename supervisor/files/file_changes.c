// SPDX-License-Identifier: Apache-2.0
#include "supervisor/files/file_changes.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "supervisor/files/files.h"
#include "supervisor/objects/object.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"
#include "supervisor/turn/turn.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

enum { RETRY_MS = 1000 };

struct change_waiter {
    struct change_waiter *next;
    void (*fn)(void *arg);
    void *arg;
};

struct file_change {
    struct file_change *prev, *next; /* of the object, oldest first */
    struct object *object;
    struct files_held held; /* keeps its record in the journal */
    uint64_t seq;
    struct buf files; /* encoded rpc_file */
    uint32_t count;
    struct change_waiter *waiters;
};

struct object_files {
    struct file_change *changes;
    size_t applying; /* the first so many are in the scribe's hands */
    bool has_failed;
    struct loop_timer retry;
};

static struct object_files *files_of(struct object *o)
{
    if (!o->files)
        o->files = calloc(1, sizeof(*o->files));
    return o->files;
}

struct file_change *file_change_new(struct object *o, const struct rpc_files *files)
{
    struct file_change *change = files_of(o) ? calloc(1, sizeof(*change)) : NULL;
    if (!change)
        return NULL;
    change->object = o;
    change->count = files->count;
    buf_append(&change->files, files->files.data, files->files.len);
    if (buf_ok(&change->files))
        return change;
    file_change_free(change);
    return NULL;
}

void file_change_free(struct file_change *change)
{
    if (!change)
        return;
    buf_free(&change->files);
    free(change);
}

static void push_later(void *arg)
{
    file_changes_push(arg);
}

void file_change_accept(struct file_change *change, uint64_t seq)
{
    struct object *o = change->object;
    (void)FAILPOINT("files-accepted"); /* a crash counts; the record is made */
    change->seq = seq;
    DL_APPEND(o->files->changes, change);
    files_hold(o->station->files, &change->held, seq);
    if (turn_when_durable(o->station->turns, seq, push_later, o) < 0)
        loop_timer_set(o->station->loop, &o->files->retry, RETRY_MS * NS_PER_MS, push_later, o);
}

/* --- the scribe makes them visible --- */

static void run_waiters(struct file_change *change)
{
    while (change->waiters) {
        struct change_waiter *w = change->waiters;
        change->waiters = w->next;
        w->fn(w->arg);
        free(w);
    }
}

static void tell_worker(struct worker *w, void *arg)
{
    const struct file_change *change = arg;
    if (w->object != change->object)
        return;
    struct rpc_files_applied m = {{change->count, {change->files.data, change->files.len}}};
    size_t frame = channel_begin(&w->channel, RPC_FILES_APPLIED, 0);
    rpc_files_applied_encode(&w->channel.out, &m);
    /* a worker that cannot be told sees deleted files as deleted until it ends */
    if (channel_end(&w->channel, frame, NULL, 0) == 0)
        worker_touch(w);
}

static void finish(struct object *o, struct file_change *change)
{
    DL_DELETE(o->files->changes, change);
    files_release(o->station->files, &change->held);
    worker_each(o->station->workers, tell_worker, change);
    run_waiters(change);
    file_change_free(change);
}

static void mark_done(struct object *o, uint64_t seq)
{
    struct store_turn turn = {
        .request_id = {"", 0}, .writes = {"", 0}, .files = {0, {"", 0}}, .files_done = seq};
    uint64_t own;
    (void)FAILPOINT("files-visible");
    /* Where this fails, the next start does again what is done already. */
    int err = store_commit_turn(o->station->store, o->state, &turn, &own);
    if (err)
        log_debug("files of %s: not marked as visible: %s", o->id, strerror(-err));
}

static void on_applied(void *arg, int err, unsigned limit)
{
    struct object *o = arg;
    struct object_files *files = o->files;
    size_t count = files->applying;
    (void)limit;
    files->applying = 0;
    if (err) {
        if (!files->has_failed)
            log_warn("files of %s: not visible yet: %s; this is tried again", o->id,
                     strerror(-err));
        files->has_failed = true;
        loop_timer_set(o->station->loop, &files->retry, RETRY_MS * NS_PER_MS, push_later, o);
        return;
    }
    files->has_failed = false;
    uint64_t seq = 0;
    for (; count > 0; count--) {
        seq = files->changes->seq;
        finish(o, files->changes);
    }
    mark_done(o, seq);
    file_changes_push(o);
}

/* The durable ones at the head of the list, for one job. */
static size_t gather(struct object *o, struct buf *text, uint32_t *count)
{
    uint64_t durable = store_durable(o->station->store);
    struct file_change *change;
    size_t changes = 0;
    DL_FOREACH (o->files->changes, change) {
        if (change->seq > durable)
            break;
        buf_append(text, change->files.data, change->files.len);
        *count += change->count;
        changes++;
    }
    return changes;
}

void file_changes_push(struct object *o)
{
    struct object_files *files = o->files;
    if (!files || files->applying || !files->changes)
        return;
    struct buf text = BUF_INIT;
    uint32_t count = 0;
    size_t changes = gather(o, &text, &count);
    if (changes && buf_ok(&text)) {
        struct scribe_rpc_files m = {.action = SCRIBE_FILES_APPLY,
                                     .object_id = span_of(o->id),
                                     .owner = {"", 0},
                                     .files = {count, {text.data, text.len}}};
        (void)FAILPOINT("files-durable");
        files->applying = changes;
        scribe_files(o->station->scribe, &m, on_applied, o);
    } else if (changes) {
        loop_timer_set(o->station->loop, &files->retry, RETRY_MS * NS_PER_MS, push_later, o);
    }
    buf_free(&text);
}

/* --- who asks --- */

int file_changes_pending(const struct object *o, struct buf *text, struct rpc_files *files)
{
    const struct file_change *change;
    size_t start = text->len;
    *files = (struct rpc_files){0, {"", 0}};
    if (!o->files)
        return 0;
    DL_FOREACH (o->files->changes, change) {
        buf_append(text, change->files.data, change->files.len);
        files->count += change->count;
    }
    if (files->count)
        files->files = (struct span){text->data + start, text->len - start};
    return buf_ok(text) ? 0 : -ENOMEM;
}

int file_changes_when_visible(struct object *o, void (*fn)(void *arg), void *arg)
{
    if (!o->files || !o->files->changes) {
        fn(arg);
        return 0;
    }
    struct file_change *newest = o->files->changes->prev; /* the tail */
    struct change_waiter *w = malloc(sizeof(*w)), **end = &newest->waiters;
    if (!w)
        return -ENOMEM;
    while (*end)
        end = &(*end)->next;
    *w = (struct change_waiter){NULL, fn, arg};
    *end = w;
    return 0;
}

void file_changes_free(struct object *o)
{
    struct file_change *change, *next;
    if (!o->files)
        return;
    loop_timer_cancel(&o->files->retry);
    DL_FOREACH_SAFE (o->files->changes, change, next) {
        while (change->waiters) {
            struct change_waiter *w = change->waiters;
            change->waiters = w->next;
            free(w);
        }
        file_change_free(change);
    }
    free(o->files);
    o->files = NULL;
}
