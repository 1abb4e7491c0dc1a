// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/log_query.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "common/log.h"
#include "common/time_text.h"
#include "supervisor/log/log_event.h"
#include "supervisor/log/log_files.h"
#include "supervisor/log/log_filter.h"
#include "supervisor/scribe/document.h"
#include "supervisor/scribe/tail_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    HEADER_MAX = 64 * 1024,
    LINES_PER_LOOK = 64,   /* between two looks at the clock */
    SEEK_MIN = 256 * 1024, /* a smaller part is read to its end */
    SEEK_BLOCK = 16 * 1024,
};
#define DISORDER_US 60000000ull /* lines stand at most that far out of order */

struct log_query {
    const char *data_dir; /* borrowed */
    char *object_id;
    char *fields;
    struct scribe_rpc_search ask;
    struct log_filter filter;

    struct log_files files;
    bool is_started;
    int fd; /* of the file being read, or -1 */
    struct tail_reader tail;
    struct log_columns columns;

    uint64_t read; /* bytes of log */
    uint64_t skipped;
    uint64_t oldest_us;  /* time of the line at which it ended early */
    struct buf found;    /* JSON objects or events, newest first, one behind the other */
    struct buf starts;   /* size_t: where each begins in `found` */
    struct buf line;     /* scratch */
    const char *reached; /* the limit that ended it early */
    size_t count;
    bool is_over; /* enough, or past `since` */
};

struct log_query *log_query_new(const char *data_dir, const struct scribe_rpc_search *query)
{
    struct log_query *q = calloc(1, sizeof(*q));
    if (!q)
        return NULL;
    *q = (struct log_query){.data_dir = data_dir, .ask = *query, .fd = -1, .files.folder = -1};
    q->object_id = span_dup(query->object_id);
    q->fields = span_dup(query->filters);
    if (!q->object_id || !q->fields) {
        log_query_free(q);
        return NULL;
    }
    q->ask.object_id.data = q->object_id;
    q->filter = (struct log_filter){.levels = query->levels,
                                    .since_us = query->since_us,
                                    .until_us = query->until_us,
                                    .fields = {q->fields, query->filters.len}};
    return q;
}

static void close_file(struct log_query *q)
{
    tail_reader_close(&q->tail);
    log_columns_free(&q->columns);
    if (q->fd >= 0)
        close(q->fd);
    q->fd = -1;
}

void log_query_free(struct log_query *q)
{
    if (!q)
        return;
    close_file(q);
    log_files_close(&q->files);
    buf_free(&q->found);
    buf_free(&q->starts);
    buf_free(&q->line);
    free(q->object_id);
    free(q->fields);
    free(q);
}

/* --- lines --- */

static int keep_line(struct log_query *q, const struct log_line *l)
{
    size_t start = q->found.len;
    uint64_t us = 0;
    buf_append(&q->starts, &start, sizeof(start));
    if (q->ask.form == SCRIBE_RPC_FORM_EVENTS) {
        buf_reset(&q->line, SIZE_MAX);
        log_line_json(&q->line, l);
        log_filter_time_of(l, &us);
        log_event_put(&q->found, us, (struct span){q->line.data, q->line.len});
    } else {
        /* the separators of log_line_json look at what stands before them: "{" of its own */
        log_line_json(&q->found, l);
    }
    q->count++;
    return buf_ok(&q->found) && buf_ok(&q->starts) && buf_ok(&q->line) ? 0 : -ENOMEM;
}

static void end_early(struct log_query *q, const struct log_line *l, const char *limit)
{
    q->is_over = true;
    q->reached = limit;
    log_filter_time_of(l, &q->oldest_us);
}

static bool is_later(const struct log_query *q, const struct log_line *l)
{
    uint64_t us;
    return q->filter.until_us && log_filter_time_of(l, &us) && us >= q->filter.until_us;
}

/* No older line can be late enough. */
static bool is_past(const struct log_query *q, const struct log_line *l)
{
    uint64_t since = q->filter.since_us, us;
    return since > DISORDER_US && log_filter_time_of(l, &us) && us < since - DISORDER_US;
}

static int take_line(struct log_query *q, const struct log_line *l)
{
    if (l->count < 2)
        return 0;
    if (is_past(q, l)) {
        q->is_over = true;
        return 0;
    }
    if (!log_filter_matches(&q->filter, l) || q->skipped++ < q->ask.offset)
        return 0;
    int err = keep_line(q, l);
    if (q->count >= q->ask.limit)
        q->is_over = true;
    else if (q->found.len > q->ask.answer_max)
        end_early(q, l, "log.answer_max");
    return err;
}

/* 1: out of time. 0: the file is done, or all is. */
static int read_lines(struct log_query *q, uint64_t until_ns)
{
    struct log_line l;
    char *line;
    size_t len;
    for (unsigned n = 1; !q->is_over; n++) {
        int got = tail_reader_next(&q->tail, &line, &len);
        if (got <= 0)
            return got;
        log_line_parse(&l, &q->columns, line, len);
        int err = take_line(q, &l);
        if (err)
            return err;
        q->read += is_later(q, &l) ? 0 : len + 1; /* or asking again would come no further */
        if (!q->is_over && q->read >= q->ask.read_max)
            end_early(q, &l, "log.search_max");
        if (n % LINES_PER_LOOK == 0 && clock_mono_ns() >= until_ns)
            return 1;
    }
    return 0;
}

/* --- files --- */

/* The columns of the file and where its entries begin. */
static int read_header(int fd, struct log_columns *columns, off_t *entries)
{
    char *block = malloc(HEADER_MAX);
    if (!block)
        return -ENOMEM;
    ssize_t n = pread(fd, block, HEADER_MAX, 0);
    int got = n < 0 ? -errno : 0;
    if (n >= 0) {
        char *newline = n > 0 ? memchr(block, '\n', (size_t)n) : NULL;
        size_t len = newline ? (size_t)(newline - block) : 0;
        got = log_columns_parse(columns, (struct span){block, len});
        *entries = got == 1 ? (off_t)len + 1 : 0;
    }
    free(block);
    return got < 0 ? got : 0;
}

/* The time and the place of the first whole line behind `offset`; false: not to be found. */
static bool time_behind(const struct log_query *q, off_t offset, off_t *line_at, uint64_t *us)
{
    char block[SEEK_BLOCK];
    struct log_line l;
    ssize_t n = pread(q->fd, block, sizeof(block), offset);
    char *newline = n > 0 ? memchr(block, '\n', (size_t)n) : NULL;
    char *start = newline ? newline + 1 : NULL;
    char *end = start ? memchr(start, '\n', (size_t)(block + n - start)) : NULL;
    if (!end)
        return false;
    *line_at = offset + (start - block);
    log_line_parse(&l, &q->columns, start, (size_t)(end - start));
    return log_filter_time_of(&l, us);
}

/*
 * A place in [from, to) behind which all lines are too late for `until`, by halving. Where a line
 * tells no time, or is too long, more is read than had to be.
 */
static off_t seek_until(const struct log_query *q, off_t from, off_t to)
{
    if (!q->filter.until_us)
        return to;
    while (to - from > SEEK_MIN) {
        off_t middle = from + (to - from) / 2, line_at;
        uint64_t us;
        if (!time_behind(q, middle, &line_at, &us) || line_at >= to)
            return to;
        if (us > q->filter.until_us + DISORDER_US)
            to = line_at;
        else
            from = middle;
    }
    return to;
}

/* 1: a file is open. 0: there is none left. */
static int open_next(struct log_query *q)
{
    off_t entries = 0, end = 0;
    int got = log_files_next(&q->files, &q->fd, &end);
    if (got != 1)
        return got;
    int err = read_header(q->fd, &q->columns, &entries);
    tail_reader_open(&q->tail, q->fd, entries, err ? entries : seek_until(q, entries, end));
    return err ? err : 1;
}

static int start(struct log_query *q)
{
    if (q->is_started)
        return 0;
    struct log_position upto = {q->ask.upto.is_set, q->ask.upto.inode, q->ask.upto.size};
    q->is_started = true;
    q->is_over = q->ask.limit == 0;
    return log_files_open(&q->files, q->data_dir, q->object_id, &upto);
}

static int go_on(struct log_query *q, uint64_t until_ns)
{
    int got = start(q);
    while (!got && !q->is_over) {
        if (q->fd < 0 && (got = open_next(q)) != 1)
            return got;
        got = read_lines(q, until_ns);
        if (got != 1)
            close_file(q);
    }
    return got;
}

int log_query_step(struct log_query *q, uint64_t until_ns)
{
    int got = go_on(q, until_ns);
    if (got < 0)
        log_warn("log of %s: %s", q->object_id, strerror(-got));
    return got;
}

/* --- the answer --- */

/* The i-th, from the newest. */
static void put_line(const struct log_query *q, size_t i, struct buf *out)
{
    const size_t *starts = (const size_t *)(const void *)q->starts.data;
    size_t stop = i + 1 < q->count ? starts[i + 1] : q->found.len;
    buf_append(out, q->found.data + starts[i], stop - starts[i]);
}

static void put_lines(const struct log_query *q, struct document *d, const char *separator)
{
    for (size_t i = q->count; i-- > 0;) {
        put_line(q, i, &d->text);
        buf_puts(&d->text, i > 0 ? separator : "");
        document_flow(d);
    }
}

void log_query_put(const struct log_query *q, struct buf *out)
{
    for (size_t i = q->count; i-- > 0;) {
        put_line(q, i, out);
        buf_puts(out, i > 0 ? "," : "");
    }
}

/* "limit":…,"searched_to":… of an answer that had to end early. */
static void put_reached(const struct log_query *q, struct buf *out)
{
    char time[CLOCK_ISO_SIZE];
    json_put_member(out, "limit", q->reached);
    if (q->oldest_us == 0)
        return;
    clock_iso(q->oldest_us, time);
    json_put_member(out, "searched_to", time);
}

static void put_events(const struct log_query *q, struct document *d)
{
    if (q->reached) {
        buf_puts(&d->text, "event: incomplete\ndata: {");
        put_reached(q, &d->text);
        buf_puts(&d->text, "}\n\n");
    }
    put_lines(q, d, "");
}

static void put_json(const struct log_query *q, struct document *d)
{
    buf_putc(&d->text, '{');
    json_put_member(&d->text, "status", "ok");
    json_put_member(&d->text, "object_id", q->object_id);
    buf_puts(&d->text, ",\"logs\":[");
    put_lines(q, d, ",");
    buf_printf(&d->text, "],\"count\":%zu", q->count);
    if (q->reached) {
        buf_puts(&d->text, ",\"complete\":false");
        put_reached(q, &d->text);
    }
    buf_putc(&d->text, '}');
}

int log_query_answer(const struct log_query *q, uint64_t *size)
{
    struct document d;
    document_begin(&d, "logs");
    if (q->ask.form == SCRIBE_RPC_FORM_EVENTS)
        put_events(q, &d);
    else
        put_json(q, &d);
    return document_end(&d, size);
}
