// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/log_follow.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "common/memfd.h"
#include "supervisor/log/log_event.h"
#include "supervisor/log/log_filter.h"
#include "supervisor/log/object_log.h"
#include "supervisor/objects/object.h"
#include "supervisor/rest/query.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { HISTORY_CHUNK = 64 * 1024, SCRATCH_KEEP = 64 * 1024 };
#define CONTENT_TYPE "text/event-stream"
#define END_GRACE_NS NS_PER_S /* for a reader to take the rest */

struct follower {
    struct object *object;
    struct exchange *exchange;
    struct object_log_watcher watcher;
    bool is_watching;
    struct log_filter filter;
    struct buf fields; /* of the filter */
    struct log_columns columns;

    bool is_searching; /* the scribe's answer is to come */
    int history;       /* memfd of the old lines, or -1 */
    uint64_t history_at, history_size;
    struct buf live; /* events that come after them */
    struct buf line, json;
    uint64_t skipped;
    bool is_greeted; /* the reader has got something: its head is not held back any more */
    bool is_pulled;  /* the front takes a chunk now */
    bool is_quiet;   /* nothing was sent since the last heartbeat */
    bool is_ending;
    struct loop_timer heartbeat; /* of one that is ending: the end of its patience */
};

static const struct config *config_of(const struct follower *f)
{
    return &f->object->station->config;
}

/* --- out --- */

static void send_chunk(struct follower *f, char *bytes, size_t size)
{
    f->is_pulled = false;
    f->is_quiet = false;
    exchange_stream_chunk(f->exchange, bytes, size);
}

static void close_history(struct follower *f)
{
    if (f->history >= 0)
        close(f->history);
    f->history = -1;
}

static void cut(struct follower *f)
{
    f->is_pulled = false;
    exchange_stream_end(f->exchange, true);
}

static void send_history(struct follower *f)
{
    uint64_t left = f->history_size - f->history_at;
    size_t want = left < HISTORY_CHUNK ? (size_t)left : HISTORY_CHUNK;
    char *chunk = malloc(want);
    ssize_t n = chunk ? pread(f->history, chunk, want, (off_t)f->history_at) : -1;
    if (n <= 0) { /* rather an end that shows than a hole that does not */
        free(chunk);
        cut(f);
        return;
    }
    f->history_at += (uint64_t)n;
    if (f->history_at == f->history_size)
        close_history(f);
    send_chunk(f, chunk, (size_t)n);
}

static void send_live(struct follower *f)
{
    size_t size;
    if (f->skipped > 0)
        log_event_notice(&f->live, "skipped",
                         "{\"lines\":%llu,\"limit\":\"log.follow_buffer_max\"}",
                         (unsigned long long)f->skipped);
    f->skipped = 0;
    char *bytes = buf_take(&f->live, &size);
    if (bytes)
        send_chunk(f, bytes, size);
    else
        cut(f);
}

/* A comment: keeps proxies from closing, and finds clients that are gone. */
static void send_comment(struct follower *f, const char *text)
{
    char *comment = f->is_pulled ? strdup(text) : NULL;
    if (comment)
        send_chunk(f, comment, strlen(comment));
}

static void greet(struct follower *f)
{
    f->is_greeted = true;
    send_comment(f, ": following\n\n");
}

/* Sends the next piece, if the front takes one and there is one. */
static void push(struct follower *f)
{
    if (!f->is_pulled)
        return;
    if (!f->is_greeted)
        greet(f);
    else if (f->history >= 0)
        send_history(f);
    else if (!f->is_searching && (f->live.len > 0 || f->skipped > 0))
        send_live(f);
    else if (!f->is_searching && f->is_ending) {
        f->is_pulled = false;
        exchange_stream_end(f->exchange, false);
    }
}

static void on_pull(void *context)
{
    struct follower *f = context;
    f->is_pulled = true;
    push(f);
}

static void on_heartbeat(void *arg)
{
    struct follower *f = arg;
    if (f->is_quiet)
        send_comment(f, ": heartbeat\n\n");
    f->is_quiet = true;
    loop_timer_set(f->object->station->loop, &f->heartbeat, config_of(f)->log_follow_heartbeat_ns,
                   on_heartbeat, f);
}

/* --- in --- */

static void skip_line(struct follower *f)
{
    f->skipped++;
    object_logs_stats(f->object->station->logs)->skipped++;
}

static void add_event(struct follower *f, const struct log_line *line)
{
    uint64_t us = 0;
    size_t before = f->live.len;
    if (f->skipped > 0) { /* in order: nothing behind a hole before it is told */
        skip_line(f);
        return;
    }
    buf_reset(&f->json, SCRATCH_KEEP);
    log_line_json(&f->json, line);
    log_filter_time_of(line, &us);
    log_event_put(&f->live, us, (struct span){f->json.data, f->json.len});
    if (buf_ok(&f->live) && buf_ok(&f->json) && f->live.len <= config_of(f)->log_follow_buffer_max)
        return;
    f->live.len = before;
    f->live.failed = f->json.failed = false;
    skip_line(f);
}

static void on_line(void *arg, struct span text)
{
    struct follower *f = arg;
    struct log_line line;
    buf_reset(&f->line, SCRATCH_KEEP);
    buf_append(&f->line, text.data, text.len);
    if (!buf_ok(&f->line)) {
        f->line.failed = false;
        skip_line(f);
        return;
    }
    log_line_parse(&line, &f->columns, f->line.data, f->line.len);
    if (log_filter_matches(&f->filter, &line))
        add_event(f, &line);
    push(f);
}

static void unwatch(struct follower *f)
{
    if (f->is_watching)
        object_log_unwatch(f->object->log, &f->watcher);
    f->is_watching = false;
}

static void on_impatience(void *arg)
{
    struct follower *f = arg;
    exchange_stream_abort(f->exchange);
}

/* No line comes any more; the reader gets what there is, if it takes it soon. */
static void end(struct follower *f)
{
    unwatch(f);
    f->is_ending = true;
    loop_timer_set(f->object->station->loop, &f->heartbeat, END_GRACE_NS, on_impatience, f);
    push(f);
}

static void on_end(void *arg, const char *reason)
{
    struct follower *f = arg;
    log_event_notice(&f->live, "end", "{\"reason\":\"%s\"}", reason);
    end(f);
}

static void on_history(void *arg, int err, int fd, uint64_t size)
{
    struct follower *f = arg;
    f->is_searching = false;
    if (err) {
        log_event_notice(&f->live, "error", "{\"error\":\"the log cannot be read now: %s\"}",
                         strerror(-err));
        end(f);
        return;
    }
    f->history = fd;
    f->history_size = size;
    if (size == 0)
        close_history(f);
    push(f);
}

/* --- life --- */

static void on_gone(void *context)
{
    struct follower *f = context;
    scribe_cancel(f->object->station->scribe, f);
    loop_timer_cancel(&f->heartbeat);
    unwatch(f);
    close_history(f);
    log_columns_free(&f->columns);
    buf_free(&f->fields);
    buf_free(&f->live);
    buf_free(&f->line);
    buf_free(&f->json);
    free(f);
}

static struct follower *follower_new(struct object *o, struct exchange *x, struct log_params *p)
{
    struct follower *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    *f = (struct follower){.object = o, .exchange = x, .history = -1, .fields = p->fields};
    p->fields = BUF_INIT;
    f->filter = (struct log_filter){
        .levels = p->levels, .since_us = p->since_us, .fields = {f->fields.data, f->fields.len}};
    f->watcher = (struct object_log_watcher){.line = on_line, .end = on_end, .arg = f};
    if (log_columns_parse(&f->columns, span_of(LOG_LINE_HEADER)) == 1)
        return f;
    on_gone(f);
    return NULL;
}

/* From here on each line is either before `upto` or told to the watcher. */
static void begin(struct follower *f, const struct log_params *p)
{
    const struct config *c = config_of(f);
    struct scribe_log_query query = {
        .object_id = f->object->id,
        .as_events = true,
        .levels = p->levels,
        .limit = p->limit,
        .since_us = p->since_us,
        .read_max = c->log_search_max,
        .answer_max = c->log_answer_max,
        .filter_count = p->field_count,
        .filters = {f->fields.data ? f->fields.data : "", f->fields.len},
    };
    int err = object_log_position(f->object->log, &query.upto);
    if (err)
        log_debug("log of %s is followed without a file: %s", f->object->id, strerror(-err));
    object_log_watch(f->object->log, &f->watcher);
    f->is_watching = f->is_searching = true;
    loop_timer_set(f->object->station->loop, &f->heartbeat, c->log_follow_heartbeat_ns,
                   on_heartbeat, f);
    scribe_logs(f->object->station->scribe, &query, on_history, f);
}

static void stream(struct follower *f)
{
    static const struct exchange_field fields[] = {{"Cache-Control", "no-store"},
                                                   {"X-Accel-Buffering", "no"}};
    struct exchange_reply head = {
        .status = 200, .content_type = CONTENT_TYPE, .fields = fields, .field_count = 2};
    struct exchange_stream events = {on_pull, on_gone, f};
    exchange_stream_begin(f->exchange, &head, &events);
}

/* The time of the last line that the client has, from the header; false: it makes no sense. */
static bool go_on_after(struct exchange *x, struct log_params *p, const struct config *config)
{
    struct span id = exchange_header(x, "Last-Event-ID");
    char text[24];
    uint64_t us;
    if (id.len == 0)
        return true;
    if (id.len >= sizeof(text))
        return false;
    memcpy(text, id.data, id.len);
    text[id.len] = '\0';
    if (!query_number(text, 1, INT64_MAX, &us))
        return false;
    if (us >= p->since_us)
        p->since_us = us + 1;
    p->limit = config->log_lines_max; /* all that it missed */
    return true;
}

static bool may_follow(const struct station *station, struct exchange *x)
{
    uint64_t max = station->config.log_followers_max;
    if (station->stopping) {
        exchange_error(x, 503, NULL, "the station is stopping");
        return false;
    }
    if (object_logs_stats(station->logs)->watchers < max)
        return true;
    exchange_error(x, 503, "\"limit\":\"log.followers_max\"",
                   "logs have %llu followers already (log.followers_max)", (unsigned long long)max);
    return false;
}

static void answer_head(struct exchange *x)
{
    struct exchange_reply reply = {.status = 200, .content_type = CONTENT_TYPE};
    exchange_reply(x, &reply);
}

void log_follow(struct object *o, struct exchange *x, struct log_params *p)
{
    if (span_equal(exchange_request(x)->method, "HEAD")) {
        answer_head(x);
        return;
    }
    if (exchange_request(x)->is_inside) {
        exchange_error(x, 400, NULL, "follow is for clients: a turn gets the lines there are");
        return;
    }
    if (!go_on_after(x, p, &o->station->config)) {
        exchange_error(x, 400, NULL, "Last-Event-ID must be the id of an event");
        return;
    }
    if (!may_follow(o->station, x))
        return;
    struct follower *f = follower_new(o, x, p);
    if (!f) {
        exchange_error(x, 503, "\"limit\":\"memory\"", "no memory for another follower");
        return;
    }
    begin(f, p);
    stream(f);
}
