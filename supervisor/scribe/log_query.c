// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/log_query.h"

#include "common/json_text.h"
#include "common/log.h"
#include "common/time_text.h"
#include "supervisor/log/log_line.h"
#include "supervisor/scribe/document.h"
#include "supervisor/scribe/tail_reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEADER_MAX = 64 * 1024,
    FOUND_MAX = 256 * 1024 * 1024, /* bytes of JSON; lines beyond are left out */
};
#define DISORDER_US 60000000ull /* lines stand at most that far out of order */

struct search {
    const struct scribe_rpc_search *query;
    uint64_t skipped;
    struct buf found;  /* JSON objects, newest first, one behind the other */
    struct buf starts; /* size_t: where each begins in `found` */
    size_t count;
    bool is_over; /* enough, or past `since` */
    dev_t device; /* of log.tsv as it was opened: it may be rotated */
    ino_t inode;  /* meanwhile, and then shows up again */
};

/* --- matching --- */

static bool level_wanted(struct span levels, struct span level)
{
    while (levels.len > 0) {
        const char *comma = memchr(levels.data, ',', levels.len);
        size_t n = comma ? (size_t)(comma - levels.data) : levels.len;
        if (n == level.len && strncasecmp(levels.data, level.data, n) == 0)
            return true;
        levels.data += comma ? n + 1 : n;
        levels.len -= comma ? n + 1 : n;
    }
    return false;
}

/* Sets is_over when no older line can be late enough. */
static bool time_wanted(struct search *s, const struct log_line *l)
{
    const struct scribe_rpc_search *q = s->query;
    uint64_t us;
    struct span text = log_line_column(l, "timestamp");
    if (q->since_us == 0 && q->until_us == 0)
        return true;
    if (!time_text_parse(text.data, text.len, &us))
        return false;
    if (us < q->since_us) {
        s->is_over = q->since_us - us > DISORDER_US;
        return false;
    }
    return q->until_us == 0 || us < q->until_us;
}

static bool filters_match(const struct scribe_rpc_search *q, const struct log_line *l)
{
    struct codec_reader r = codec_reader_of(q->filters.data, q->filters.len);
    struct rpc_field f;
    while (rpc_field_next(&r, &f))
        if (!log_line_matches(l, f.name, f.value))
            return false;
    return true;
}

static int take_line(struct search *s, const struct log_line *l)
{
    const struct scribe_rpc_search *q = s->query;
    if (l->count < 2 || !time_wanted(s, l))
        return 0;
    if (q->levels.len > 0 && !level_wanted(q->levels, log_line_column(l, "level")))
        return 0;
    if (!filters_match(q, l) || s->skipped++ < q->offset)
        return 0;
    size_t start = s->found.len;
    buf_append(&s->starts, &start, sizeof(start));
    /* the separators of log_line_json look at what stands before them: "{" of its own */
    log_line_json(&s->found, l);
    s->count++;
    s->is_over = s->count >= q->limit || s->found.len > FOUND_MAX;
    return buf_ok(&s->found) && buf_ok(&s->starts) ? 0 : -ENOMEM;
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
    *columns = (struct log_columns){0};
    if (n >= 0) {
        char *newline = n > 0 ? memchr(block, '\n', (size_t)n) : NULL;
        size_t len = newline ? (size_t)(newline - block) : 0;
        got = log_columns_parse(columns, (struct span){block, len});
        *entries = got == 1 ? (off_t)len + 1 : 0;
    }
    free(block);
    return got < 0 ? got : 0;
}

static int search_lines(struct search *s, struct tail_reader *tail, const struct log_columns *c)
{
    struct log_line l;
    char *line;
    size_t len;
    int got = 0;
    while (!s->is_over && (got = tail_reader_next(tail, &line, &len)) == 1) {
        log_line_parse(&l, c, line, len);
        int err = take_line(s, &l);
        if (err)
            return err;
    }
    return got < 0 ? got : 0;
}

static int search_fd(struct search *s, int fd)
{
    struct log_columns columns;
    struct tail_reader tail = {0};
    off_t entries = 0;
    int err = read_header(fd, &columns, &entries);
    if (!err)
        err = tail_reader_open(&tail, fd, entries);
    if (!err)
        err = search_lines(s, &tail, &columns);
    tail_reader_close(&tail);
    log_columns_free(&columns);
    return err;
}

static int search_file(struct search *s, int folder, const char *name, bool is_current)
{
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int err = fstat(fd, &st) < 0 ? -errno : 0;
    bool again = !is_current && st.st_dev == s->device && st.st_ino == s->inode;
    if (!err && is_current) {
        s->device = st.st_dev;
        s->inode = st.st_ino;
    }
    if (!err && !again)
        err = search_fd(s, fd);
    close(fd);
    return err;
}

static int is_rotated(const struct dirent *entry)
{
    return fnmatch("log-*.tsv", entry->d_name, 0) == 0;
}

static int newest_first(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name);
}

static int search_rotated(struct search *s, int folder)
{
    struct dirent **names;
    int count = scandirat(folder, ".", &names, is_rotated, newest_first), err = 0;
    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        if (!s->is_over && !err)
            err = search_file(s, folder, names[i]->d_name, false);
        free(names[i]);
    }
    free(names);
    return err;
}

static int search_folder(struct search *s, const char *data_dir, const char *object_id)
{
    char path[PATH_MAX];
    if (strchr(object_id, '/') || object_id[0] == '.')
        return -EINVAL;
    int n = snprintf(path, sizeof(path), "%s/logs/%s", data_dir, object_id);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return errno == ENOENT ? 0 : -errno;
    s->is_over = s->query->limit == 0;
    int err = s->is_over ? 0 : search_file(s, folder, "log.tsv", true);
    if (!err && !s->is_over)
        err = search_rotated(s, folder);
    close(folder);
    return err;
}

/* --- the answer --- */

static int write_answer(const struct search *s, const char *object_id, uint64_t *size)
{
    const size_t *starts = (const size_t *)(const void *)s->starts.data;
    struct document d;
    document_begin(&d, "logs");
    buf_putc(&d.text, '{');
    json_put_member(&d.text, "status", "ok");
    json_put_member(&d.text, "object_id", object_id);
    buf_puts(&d.text, ",\"logs\":[");
    size_t end = s->found.len;
    for (size_t i = s->count; i-- > 0;) {
        size_t start = starts[i], stop = i + 1 < s->count ? starts[i + 1] : end;
        buf_append(&d.text, s->found.data + start, stop - start);
        buf_puts(&d.text, i > 0 ? "," : "");
        document_flow(&d);
    }
    buf_printf(&d.text, "],\"count\":%zu}", s->count);
    return document_end(&d, size);
}

int log_query(const char *data_dir, const struct scribe_rpc_search *query, uint64_t *size)
{
    struct search s = {.query = query};
    char *object_id = span_dup(query->object_id);
    int err = object_id ? search_folder(&s, data_dir, object_id) : -ENOMEM;
    if (err)
        log_warn("log of %s: %s", object_id ? object_id : "?", strerror(-err));
    else
        err = write_answer(&s, object_id, size);
    buf_free(&s.found);
    buf_free(&s.starts);
    free(object_id);
    return err;
}
