// SPDX-License-Identifier: Apache-2.0
#include "supervisor/log/object_log.h"

#include "common/clock.h"
#include "common/json_scan.h"
#include "common/tsv.h"
#include "common/utf8.h"
#include "supervisor/log/object_log_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

enum {
    OPEN_FILES_MAX = 64,
    PENDING_MAX = 64 * 1024, /* bytes gathered by one object before they are written */
    LEVEL_MAX = 32,
    METHOD_MAX = 32,
    TARGET_MAX = 2048,
    REQUEST_ID_MAX = 256,
};
#define FLUSH_NS (200 * NS_PER_MS)
#define QUIET_NS (10 * NS_PER_S) /* between two complaints */

#define ORDER_SLACK_US US_PER_S

static const struct span nothing = {"", 0};

static void on_flush(void *arg);

/* --- the objects --- */

void object_logs_configure(struct object_logs *logs, const struct config *config)
{
    logs->turn_lines_per_s = config->turn_lines_per_s;
    logs->object_lines_per_s = config->object_lines_per_s;
    logs->line_max = config->log_line_max;
    logs->file_max = config->log_file_max;
    logs->files_max = config->log_files_max;
    logs->keep_seconds = config->log_keep_ns / NS_PER_S;
}

struct object_logs *object_logs_new(struct loop *loop, const struct config *config)
{
    struct object_logs *logs = calloc(1, sizeof(*logs));
    if (!logs)
        return NULL;
    logs->loop = loop;
    logs->data_dir = strdup(config->data_dir);
    if (!logs->data_dir) {
        free(logs);
        return NULL;
    }
    object_logs_configure(logs, config);
    return logs;
}

struct object_log *object_logs_get(struct object_logs *logs, const char *object_id)
{
    struct object_log *log;
    HASH_FIND_STR(logs->by_id, object_id, log);
    if (log)
        return log;
    size_t len = strlen(object_id);
    log = calloc(1, sizeof(*log) + len + 1);
    if (!log)
        return NULL;
    memcpy(log->object_id, object_id, len + 1);
    log->logs = logs;
    if (log_file_init(&log->file, logs->data_dir, object_id) == 0)
        HASH_ADD_KEYPTR(hh, logs->by_id, log->object_id, len, log);
    if (!log->hh.tbl) {
        log_file_free(&log->file);
        free(log);
        return NULL;
    }
    return log;
}

struct object_logs_stats *object_logs_stats(struct object_logs *logs)
{
    return &logs->stats;
}

/* --- writing to files --- */

static void close_log(struct object_log *log)
{
    log_file_close(&log->file);
    DL_DELETE2(log->logs->open, log, newer, older);
    log->logs->open_count--;
}

/* Keeps the list of open files as the file's state is now, this one the most recently used. */
static void note_open(struct object_log *log, bool was_open)
{
    struct object_logs *logs = log->logs;
    if (was_open) {
        DL_DELETE2(logs->open, log, newer, older);
        logs->open_count--;
    }
    if (!log_file_is_open(&log->file))
        return;
    DL_PREPEND2(logs->open, log, newer, older);
    if (++logs->open_count > OPEN_FILES_MAX)
        close_log(logs->open->newer); /* the head's predecessor is the tail */
}

static uint64_t count_lines(const char *bytes, size_t len)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    return lines;
}

static void lose_lines(struct object_log *log, uint64_t lines, int err)
{
    struct object_logs *logs = log->logs;
    log->lost += lines;
    logs->stats.lost += lines;
    uint64_t now = loop_now(logs->loop);
    bool is_told = log->is_failing || (logs->complained_ns && now < logs->complained_ns + QUIET_NS);
    log->is_failing = true;
    if (is_told)
        return;
    logs->complained_ns = now;
    log_error("log of %s: %s; lines are lost until that is over", log->object_id, strerror(-err));
}

struct line {
    struct span level;
    uint64_t wall_us;
    struct span message, request_id;
    uint64_t version;
    struct span fields;
    uint64_t cut_bytes; /* that the message had more */
};

static void put_line(struct object_log *log, const struct line *line);

/* "8 further turns in one second", with the field "turns": 8. */
static void put_count(struct object_log *log, const char *level, uint64_t count, const char *what,
                      const char *field)
{
    char text[160], fields[80];
    int n = snprintf(text, sizeof(text), "%llu %s", (unsigned long long)count, what);
    int m = snprintf(fields, sizeof(fields), "{\"%s\":%llu}", field, (unsigned long long)count);
    put_line(log, &(struct line){.level = span_of(level),
                                 .wall_us = clock_wall_us(),
                                 .message = {text, (size_t)n},
                                 .request_id = nothing,
                                 .fields = {fields, (size_t)m}});
}

static void write_pending(struct object_log *log)
{
    bool was_open = log_file_is_open(&log->file);
    struct log_file_written w;
    if (log->pending.len == 0)
        return;
    int err =
        log_file_append(&log->file, log->pending.data, log->pending.len, log->logs->file_max, &w);
    note_open(log, was_open);
    uint64_t done = err ? count_lines(log->pending.data, w.bytes) : log->pending_lines;
    uint64_t lost = log->pending_lines - done, reported = log->lost;
    buf_free(&log->pending); /* most objects are quiet most of the time */
    log->pending_lines = 0;
    log->logs->stats.lines += done;
    if (w.is_another)
        object_log_tally_forget(log);
    object_log_tally_add(log, done);
    if (w.is_rotated)
        object_log_tally_rotated(log);
    if (err) {
        lose_lines(log, lost, err);
        return;
    }
    log->is_failing = false;
    log->lost = 0;
    if (reported > 0)
        put_count(log, "WARNING", reported, "lines of this log were lost", "lost");
}

/* --- gathering --- */

static void mark_dirty(struct object_log *log)
{
    struct object_logs *logs = log->logs;
    if (log->is_dirty)
        return;
    log->is_dirty = true;
    DL_APPEND(logs->dirty, log);
    if (!loop_timer_armed(&logs->flush))
        loop_timer_set(logs->loop, &logs->flush, FLUSH_NS, on_flush, logs);
}

/* One escaped column of at most `max` bytes, made UTF-8. Returns how many bytes were left out. */
static size_t put_field(struct buf *out, struct span text, size_t max)
{
    size_t len = utf8_cut(text.data, text.len, max);
    if (utf8_valid(text.data, len)) {
        tsv_put(out, text.data, len);
        return text.len - len;
    }
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(text.data + i, len - i);
        if (n)
            tsv_put(out, text.data + i, n);
        else
            buf_puts(out, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
    return text.len - len;
}

static void put_message(struct buf *out, const struct line *line, size_t max)
{
    uint64_t beyond = put_field(out, line->message, max) + line->cut_bytes;
    if (beyond > 0)
        buf_printf(out, "\xe2\x80\xa6 [cut: %llu bytes more than log.line_max]",
                   (unsigned long long)beyond);
}

static void put_fields(struct buf *out, struct span fields, size_t max)
{
    if (fields.len > max)
        buf_printf(out, "{\"fields_dropped_bytes\":%zu,\"limit\":\"log.line_max\"}", fields.len);
    else if (fields.len == 0 || json_scan_object(fields).at)
        put_field(out, fields, max);
    else /* a worker may say anything */
        buf_printf(out, "{\"fields_dropped_bytes\":%zu}", fields.len);
}

/*
 * Lines come by several ways (frames, pipes, the station itself) and may overtake each other by a
 * little; in the file they stand in order of time, each with a time of its own. A clock that was
 * set back is believed.
 */
static uint64_t in_order(struct object_log *log, uint64_t wall_us)
{
    bool is_overtaken = wall_us <= log->newest_us && log->newest_us - wall_us < ORDER_SLACK_US;
    log->newest_us = is_overtaken ? log->newest_us + 1 : wall_us;
    return log->newest_us;
}

static void put_columns(struct object_log *log, const struct line *line)
{
    struct buf *out = &log->pending;
    size_t max = log->logs->line_max;
    char time[CLOCK_ISO_SIZE];
    clock_iso(in_order(log, line->wall_us), time);
    buf_puts(out, time);
    buf_putc(out, '\t');
    put_field(out, line->level, LEVEL_MAX);
    buf_putc(out, '\t');
    put_message(out, line, max);
    buf_putc(out, '\t');
    put_field(out, line->request_id, REQUEST_ID_MAX);
    buf_putc(out, '\t');
    if (line->version > 0)
        buf_printf(out, "%llu", (unsigned long long)line->version);
    buf_putc(out, '\t');
    put_fields(out, line->fields, max);
}

static void tell_watchers(const struct object_log *log, struct span line)
{
    struct object_log_watcher *w, *next;
    DL_FOREACH_SAFE (log->watchers, w, next)
        w->line(w->arg, line);
}

static void put_line(struct object_log *log, const struct line *line)
{
    struct buf *out = &log->pending;
    size_t start = out->len;
    put_columns(log, line);
    buf_putc(out, '\n');
    if (!buf_ok(out)) {
        out->len = start;
        out->failed = false;
        lose_lines(log, 1, -ENOMEM);
        return;
    }
    log->pending_lines++;
    mark_dirty(log);
    tell_watchers(log, (struct span){out->data + start, out->len - start - 1});
    if (out->len >= PENDING_MAX)
        write_pending(log);
}

/* --- rates --- */

/* A new second: says what the last one left out. */
static void roll_second(struct object_log *log)
{
    uint64_t now = loop_now(log->logs->loop) / NS_PER_S;
    if (log->second == now)
        return;
    uint64_t turns = log->turns.beyond, own = log->own.beyond;
    log->second = now;
    log->turns = log->own = (struct log_rate){0};
    if (turns > 0)
        put_count(log, "INFO", turns, "further turns in one second", "turns");
    if (own > 0)
        put_count(log, "WARNING", own, "lines were dropped: too many in one second", "dropped");
}

static bool rate_allows(struct object_log *log, struct log_rate *rate, uint64_t limit)
{
    if (rate->lines < limit) {
        rate->lines++;
        return true;
    }
    rate->beyond++;
    mark_dirty(log); /* the timer writes the summary when no line comes any more */
    return false;
}

static bool own_line_allowed(struct object_log *log)
{
    roll_second(log);
    bool allowed = rate_allows(log, &log->own, log->logs->object_lines_per_s);
    log->logs->stats.dropped += !allowed;
    return allowed;
}

static bool turn_line_allowed(struct object_log *log)
{
    roll_second(log);
    bool allowed = rate_allows(log, &log->turns, log->logs->turn_lines_per_s);
    log->logs->stats.turns_summarised += !allowed;
    return allowed;
}

void object_log_put_own(struct object_log *log, struct span level, uint64_t wall_us,
                        struct span message, struct span request_id, uint64_t version,
                        struct span fields, uint64_t cut_bytes)
{
    if (own_line_allowed(log))
        put_line(log,
                 &(struct line){level, wall_us, message, request_id, version, fields, cut_bytes});
}

void object_log_write(struct object_log *log, struct span level, uint64_t wall_us,
                      struct span message, struct span request_id, uint64_t version,
                      struct span fields)
{
    object_log_put_own(log, level, wall_us, message, request_id, version, fields, 0);
}

bool object_log_turn_due(struct object_log *log)
{
    roll_second(log);
    return log->turns.lines < log->logs->turn_lines_per_s || turn_line_allowed(log);
}

void object_log_turn(struct object_log *log, const struct object_log_turn *turn)
{
    if (!turn_line_allowed(log))
        return;
    char text[TARGET_MAX + 128], fields[128];
    int target = turn->target.len < TARGET_MAX ? (int)turn->target.len : TARGET_MAX;
    int method = turn->method.len < METHOD_MAX ? (int)turn->method.len : METHOD_MAX;
    int n = snprintf(text, sizeof(text), "%.*s %.*s %u", method, turn->method.data, target,
                     turn->target.data, turn->status);
    int m = snprintf(fields, sizeof(fields), "{\"status\":%u,\"duration_ms\":%llu.%03u}",
                     turn->status, (unsigned long long)(turn->duration_us / 1000),
                     (unsigned)(turn->duration_us % 1000));
    put_line(log, &(struct line){.level = span_of("INFO"),
                                 .wall_us = turn->wall_us,
                                 .message = {text, (size_t)n},
                                 .request_id = turn->request_id,
                                 .version = turn->version,
                                 .fields = {fields, (size_t)m}});
}

/* --- who watches --- */

void object_log_watch(struct object_log *log, struct object_log_watcher *watcher)
{
    DL_APPEND(log->watchers, watcher);
    log->logs->stats.watchers++;
}

void object_log_unwatch(struct object_log *log, struct object_log_watcher *watcher)
{
    DL_DELETE(log->watchers, watcher);
    log->logs->stats.watchers--;
}

void object_log_end_watch(struct object_log *log, const char *reason)
{
    struct object_log_watcher *w, *next;
    DL_FOREACH_SAFE (log->watchers, w, next)
        w->end(w->arg, reason);
}

void object_logs_end_watch(struct object_logs *logs, const char *reason)
{
    for (struct object_log *log = logs->by_id; log; log = log->hh.next)
        object_log_end_watch(log, reason);
}

int object_log_position(struct object_log *log, struct log_position *position)
{
    write_pending(log);
    bool was_open = log_file_is_open(&log->file);
    int err = log_file_position(&log->file, position);
    note_open(log, was_open);
    return err;
}

/* --- all of them --- */

/* Writes the dirty ones; those that still have a summary to give stay in the list. */
static void flush_dirty(struct object_logs *logs)
{
    struct object_log *log, *next;
    DL_FOREACH_SAFE (logs->dirty, log, next) {
        roll_second(log);
        write_pending(log);
        if (log->turns.beyond > 0 || log->own.beyond > 0 || log->pending.len > 0)
            continue;
        DL_DELETE(logs->dirty, log);
        log->is_dirty = false;
    }
}

static void on_flush(void *arg)
{
    struct object_logs *logs = arg;
    flush_dirty(logs);
    if (logs->dirty)
        loop_timer_set(logs->loop, &logs->flush, FLUSH_NS, on_flush, logs);
}

void object_logs_flush(struct object_logs *logs)
{
    flush_dirty(logs);
}

void object_log_flush(struct object_log *log)
{
    roll_second(log);
    write_pending(log);
}

void object_logs_reopen(struct object_logs *logs)
{
    object_logs_flush(logs);
    while (logs->open)
        close_log(logs->open);
    for (struct object_log *log = logs->by_id; log; log = log->hh.next)
        object_log_tally_forget(log); /* whoever asked for this has moved files */
}

/* Whatever second it is: what a log still has to say is due now. */
static void say_the_rest(struct object_log *log)
{
    for (int i = 0; i < OBJECT_LOG_STREAMS; i++)
        object_log_output_end(log, (enum object_log_stream)i);
    log->second = UINT64_MAX;
    roll_second(log);
}

void object_logs_free(struct object_logs *logs)
{
    if (!logs)
        return;
    struct object_log *log, *next;
    for (log = logs->by_id; log; log = log->hh.next)
        say_the_rest(log);
    object_logs_reopen(logs);
    log = logs->by_id;
    HASH_CLEAR(hh, logs->by_id);
    for (; log; log = next) {
        next = log->hh.next;
        log_file_free(&log->file);
        buf_free(&log->pending);
        object_log_tally_free(log);
        free(log);
    }
    loop_timer_cancel(&logs->keep);
    loop_timer_cancel(&logs->flush);
    free(logs->data_dir);
    free(logs);
}
