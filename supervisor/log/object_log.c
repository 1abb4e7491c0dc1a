// SPDX-License-Identifier: Apache-2.0
#include "supervisor/log/object_log.h"

#include "common/clock.h"
#include "common/seeded_hash.h"
#include "common/tsv.h"
#include "common/utf8.h"
#include "supervisor/log/log_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

enum {
    OPEN_FILES_MAX = 64,
    PENDING_MAX = 64 * 1024, /* bytes gathered by one object before they are written */
    PARTIAL_MAX = 64 * 1024, /* bytes of an unfinished line of output */
    FIELD_MAX = 256 * 1024,  /* bytes of a message or of `fields` */
    LEVEL_MAX = 32,
    METHOD_MAX = 32,
    TARGET_MAX = 2048,
    REQUEST_ID_MAX = 256,
};
#define FLUSH_NS (200 * NS_PER_MS)
#define QUIET_NS (10 * NS_PER_S) /* between two complaints */

/* So many lines a second; those beyond are counted. */
struct rate {
    uint64_t lines;
    uint64_t beyond;
};

struct object_log {
    UT_hash_handle hh;
    struct object_logs *logs;
    struct log_file file;
    struct buf pending;
    uint64_t pending_lines;
    uint64_t newest_us; /* of the newest line */
    uint64_t second;    /* that the rates are of */
    struct rate turns, own;
    uint64_t lost;   /* lines since the last that got to the file */
    bool is_failing; /* the operator knows, at least of another object */
    struct buf partial[OBJECT_LOG_STREAMS];
    bool is_dirty;                    /* in the list of those */
    struct object_log *prev, *next;   /* dirty ones */
    struct object_log *newer, *older; /* open ones */
    char object_id[];
};

struct object_logs {
    struct loop *loop;
    struct loop_timer flush;
    char *data_dir;
    uint64_t turn_lines_per_s, object_lines_per_s;
    struct object_log *by_id;
    struct object_log *dirty;
    struct object_log *open; /* most recently used first */
    unsigned open_count;
    uint64_t lost;
    uint64_t complained_ns; /* when the operator was last told of a failure */
};

#define ORDER_SLACK_US US_PER_S

static const struct span nothing = {"", 0};

static void on_flush(void *arg);

/* --- the objects --- */

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
    logs->turn_lines_per_s = config->turn_lines_per_s;
    logs->object_lines_per_s = config->object_lines_per_s;
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

uint64_t object_logs_lost(const struct object_logs *logs)
{
    return logs->lost;
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
    logs->lost += lines;
    uint64_t now = loop_now(logs->loop);
    bool is_told = log->is_failing || (logs->complained_ns && now < logs->complained_ns + QUIET_NS);
    log->is_failing = true;
    if (is_told)
        return;
    logs->complained_ns = now;
    log_error("log of %s: %s; lines are lost until that is over", log->object_id, strerror(-err));
}

static void put_line(struct object_log *log, struct span level, uint64_t wall_us,
                     struct span message, struct span request_id, uint64_t version,
                     struct span fields);

static void put_count(struct object_log *log, const char *level, uint64_t count, const char *what)
{
    char text[160];
    int n = snprintf(text, sizeof(text), "%llu %s", (unsigned long long)count, what);
    put_line(log, span_of(level), clock_wall_us(), (struct span){text, (size_t)n}, nothing, 0,
             nothing);
}

static void write_pending(struct object_log *log)
{
    bool was_open = log_file_is_open(&log->file);
    size_t written = 0;
    if (log->pending.len == 0)
        return;
    int err = log_file_append(&log->file, log->pending.data, log->pending.len, &written);
    note_open(log, was_open);
    uint64_t done = err ? count_lines(log->pending.data, written) : log->pending_lines;
    uint64_t lost = log->pending_lines - done, reported = log->lost;
    buf_free(&log->pending); /* most objects are quiet most of the time */
    log->pending_lines = 0;
    if (err) {
        lose_lines(log, lost, err);
        return;
    }
    log->is_failing = false;
    log->lost = 0;
    if (reported > 0)
        put_count(log, "WARNING", reported, "lines of this log were lost");
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

/* One escaped column of at most `max` bytes, made UTF-8. */
static void put_field(struct buf *out, struct span text, size_t max)
{
    size_t len = text.len < max ? text.len : max;
    while (len > 0 && len < text.len && ((unsigned char)text.data[len] & 0xc0) == 0x80)
        len--; /* not inside a character */
    if (utf8_valid(text.data, len)) {
        tsv_put(out, text.data, len);
        return;
    }
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(text.data + i, len - i);
        if (n)
            tsv_put(out, text.data + i, n);
        else
            buf_puts(out, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
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

static void put_line(struct object_log *log, struct span level, uint64_t wall_us,
                     struct span message, struct span request_id, uint64_t version,
                     struct span fields)
{
    struct buf *out = &log->pending;
    size_t start = out->len;
    char time[CLOCK_ISO_SIZE];
    clock_iso(in_order(log, wall_us), time);
    buf_puts(out, time);
    buf_putc(out, '\t');
    put_field(out, level, LEVEL_MAX);
    buf_putc(out, '\t');
    put_field(out, message, FIELD_MAX);
    buf_putc(out, '\t');
    put_field(out, request_id, REQUEST_ID_MAX);
    buf_putc(out, '\t');
    if (version > 0)
        buf_printf(out, "%llu", (unsigned long long)version);
    buf_putc(out, '\t');
    if (fields.len <= FIELD_MAX)
        put_field(out, fields, FIELD_MAX);
    else
        buf_printf(out, "{\"fields_dropped_bytes\":%zu}", fields.len);
    buf_putc(out, '\n');
    if (!buf_ok(out)) {
        out->len = start;
        out->failed = false;
        lose_lines(log, 1, -ENOMEM);
        return;
    }
    log->pending_lines++;
    mark_dirty(log);
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
    log->turns = log->own = (struct rate){0};
    if (turns > 0)
        put_count(log, "INFO", turns, "further turns in one second");
    if (own > 0)
        put_count(log, "WARNING", own, "lines were dropped: too many in one second");
}

static bool rate_allows(struct object_log *log, struct rate *rate, uint64_t limit)
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
    log->logs->lost += !allowed;
    return allowed;
}

void object_log_write(struct object_log *log, struct span level, uint64_t wall_us,
                      struct span message, struct span request_id, uint64_t version,
                      struct span fields)
{
    if (own_line_allowed(log))
        put_line(log, level, wall_us, message, request_id, version, fields);
}

bool object_log_turn_due(struct object_log *log)
{
    roll_second(log);
    if (log->turns.lines < log->logs->turn_lines_per_s)
        return true;
    return rate_allows(log, &log->turns, log->logs->turn_lines_per_s);
}

void object_log_turn(struct object_log *log, const struct object_log_turn *turn)
{
    roll_second(log);
    if (!rate_allows(log, &log->turns, log->logs->turn_lines_per_s))
        return;
    char text[TARGET_MAX + 128], fields[128];
    int target = turn->target.len < TARGET_MAX ? (int)turn->target.len : TARGET_MAX;
    int method = turn->method.len < METHOD_MAX ? (int)turn->method.len : METHOD_MAX;
    int n = snprintf(text, sizeof(text), "%.*s %.*s %u", method, turn->method.data, target,
                     turn->target.data, turn->status);
    int m = snprintf(fields, sizeof(fields), "{\"status\":%u,\"duration_ms\":%llu.%03u}",
                     turn->status, (unsigned long long)(turn->duration_us / 1000),
                     (unsigned)(turn->duration_us % 1000));
    put_line(log, span_of("INFO"), turn->wall_us, (struct span){text, (size_t)n}, turn->request_id,
             turn->version, (struct span){fields, (size_t)m});
}

/* --- captured output --- */

static void output_line(struct object_log *log, enum object_log_stream stream, struct span line)
{
    static const char *const levels[OBJECT_LOG_STREAMS] = {"STDOUT", "STDERR"};
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    if (own_line_allowed(log))
        put_line(log, span_of(levels[stream]), clock_wall_us(), line, nothing, 0, nothing);
}

/* Adds to the unfinished line; gives it out in pieces while it is too long. */
static void keep_partial(struct object_log *log, enum object_log_stream stream, const char *bytes,
                         size_t len)
{
    struct buf *partial = &log->partial[stream];
    while (len > 0) {
        size_t room = PARTIAL_MAX - partial->len, n = len < room ? len : room;
        buf_append(partial, bytes, n);
        bytes += n;
        len -= n;
        if (partial->len < PARTIAL_MAX && buf_ok(partial))
            continue;
        object_log_output_end(log, stream);
    }
}

void object_log_output_end(struct object_log *log, enum object_log_stream stream)
{
    struct buf *partial = &log->partial[stream];
    if (partial->len > 0)
        output_line(log, stream, (struct span){partial->data, partial->len});
    buf_free(partial);
}

void object_log_output(struct object_log *log, enum object_log_stream stream, const char *bytes,
                       size_t len)
{
    const char *newline;
    while (len > 0 && (newline = memchr(bytes, '\n', len))) {
        size_t n = (size_t)(newline - bytes);
        if (log->partial[stream].len > 0) {
            keep_partial(log, stream, bytes, n);
            object_log_output_end(log, stream);
        } else if (n <= PARTIAL_MAX) {
            output_line(log, stream, (struct span){bytes, n});
        } else {
            keep_partial(log, stream, bytes, n);
            object_log_output_end(log, stream);
        }
        bytes = newline + 1;
        len -= n + 1;
    }
    keep_partial(log, stream, bytes, len);
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

void object_logs_reopen(struct object_logs *logs)
{
    object_logs_flush(logs);
    while (logs->open)
        close_log(logs->open);
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
        free(log);
    }
    loop_timer_cancel(&logs->flush);
    free(logs->data_dir);
    free(logs);
}
