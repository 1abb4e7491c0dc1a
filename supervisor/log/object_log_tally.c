// SPDX-License-Identifier: Apache-2.0
/* How many lines logs have, and what becomes of their old files: the scribe's work, asked for. */
#include "supervisor/log/object_log.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/log/object_log_private.h"
#include "supervisor/scribe/scribe.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#define KEEP_INTERVAL_NS (3600 * NS_PER_S)

/* --- counting --- */

static void start_count(struct object_log *log);

void object_log_tally_add(struct object_log *log, uint64_t lines)
{
    log->tally.lines += lines;
}

void object_log_tally_forget(struct object_log *log)
{
    log->tally.is_known = false;
    log->tally.is_stale = true;
}

static void tell_waiters(struct object_log *log, int err)
{
    struct log_count_waiter *w, *list = log->tally.waiters;
    log->tally.waiters = NULL;
    while ((w = list)) {
        list = w->next;
        w->fn(w->arg, err, log->tally.lines + log->pending_lines);
        free(w);
    }
}

static void on_counted(void *arg, int err, uint64_t lines)
{
    struct object_log *log = arg;
    log->tally.is_counting = false;
    if (!err && log->tally.is_stale) {
        start_count(log);
        return;
    }
    log->tally.is_known = err == 0;
    log->tally.lines += lines;
    tell_waiters(log, err);
}

static void start_count(struct object_log *log)
{
    struct log_position upto;
    int err = log->logs->scribe ? object_log_position(log, &upto) : -ESHUTDOWN;
    if (err == -ESHUTDOWN) {
        tell_waiters(log, err);
        return;
    }
    log->tally.is_counting = true;
    log->tally.is_stale = false;
    log->tally.lines = 0;
    scribe_log_count(log->logs->scribe, log->object_id, &upto, on_counted, log);
}

int object_log_count(struct object_log *log, object_log_count_fn fn, void *arg)
{
    if (log->tally.is_known) {
        fn(arg, 0, log->tally.lines + log->pending_lines);
        return 0;
    }
    struct log_count_waiter *w = malloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct log_count_waiter){fn, arg, log->tally.waiters};
    log->tally.waiters = w;
    if (!log->tally.is_counting)
        start_count(log);
    return 0;
}

void object_log_tally_free(struct object_log *log)
{
    struct log_count_waiter *w;
    while ((w = log->tally.waiters)) {
        log->tally.waiters = w->next;
        free(w);
    }
}

/* --- old files --- */

static void on_removed(void *arg, struct span object_id, uint64_t files, uint64_t lines)
{
    struct object_logs *logs = arg;
    struct object_log *log;
    HASH_FIND(hh, logs->by_id, object_id.data, object_id.len, log);
    logs->stats.files_removed += files;
    if (!log)
        return;
    if (log->tally.is_counting)
        log->tally.is_stale = true; /* were they counted, or not? */
    else if (log->tally.is_known)
        log->tally.lines -= lines < log->tally.lines ? lines : log->tally.lines;
}

static void on_kept(void *arg, int err, uint64_t files)
{
    (void)arg;
    if (err && err != -EPIPE) /* the end of the scribe was told */
        log_warn("old logs: %s", strerror(-err));
    else if (files)
        log_debug("%llu old logs removed", (unsigned long long)files);
}

static void keep(struct object_logs *logs, const char *object_id)
{
    if (logs->scribe)
        scribe_log_keep(logs->scribe, object_id, logs->files_max, logs->keep_seconds, on_kept,
                        logs);
}

void object_log_tally_rotated(struct object_log *log)
{
    keep(log->logs, log->object_id);
}

static void keep_all(void *arg)
{
    struct object_logs *logs = arg;
    keep(logs, NULL);
    loop_timer_set(logs->loop, &logs->keep, KEEP_INTERVAL_NS, keep_all, logs);
}

void object_logs_attach(struct object_logs *logs, struct scribe *scribe)
{
    logs->scribe = scribe;
    scribe_on_log_removed(scribe, on_removed, logs);
    keep_all(logs);
}

void object_logs_detach(struct object_logs *logs)
{
    scribe_cancel(logs->scribe, logs);
    logs->scribe = NULL;
    loop_timer_cancel(&logs->keep);
}
