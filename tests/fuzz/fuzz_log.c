// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/scribe/tail_reader.c supervisor/log/log_line.c supervisor/log/log_filter.c
 * supervisor/log/log_level.c supervisor/log/log_event.c supervisor/rest/log_params.c
 * supervisor/rest/query.c supervisor/http/target.c common/rpc.c common/json_scan.c
 * common/json_text.c common/time_text.c common/state_file.c common/tsv.c common/buf.c
 * common/codec.c common/utf8.c common/memfd.c common/file_store.c -ljansson */
/*
 * A query ?logs=true… (the first line of the input) and a log file (the rest): the file's lines are
 * read from its end, all of them and as they stand; each becomes valid JSON in one line of an
 * event; a query that is accepted is applied to each.
 */
#include "common/json_scan.h"
#include "common/memfd.h"
#include "common/utf8.h"
#include "supervisor/log/log_event.h"
#include "supervisor/log/log_filter.h"
#include "supervisor/rest/log_params.h"
#include "supervisor/scribe/tail_reader.h"

#include <stdlib.h>
#include <unistd.h>

static const struct config config = {.log_lines_max = 10000};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_line(const struct log_columns *columns, const struct log_filter *filter,
                       char *text, size_t len)
{
    struct log_line line;
    struct buf json = BUF_INIT, event = BUF_INIT;
    uint64_t us = 0;
    log_line_parse(&line, columns, text, len);
    bool has_time = log_filter_time_of(&line, &us);
    require(!filter->since_us || !log_filter_matches(filter, &line) || has_time);
    log_line_json(&json, &line);
    require(json_scan_valid((struct span){json.data, json.len}));
    require(utf8_valid(json.data, json.len));
    log_event_put(&event, us, (struct span){json.data, json.len});
    const char *newline = memchr(event.data, '\n', event.len);
    if (us)
        newline = memchr(newline + 1, '\n', event.len - (size_t)(newline + 1 - event.data));
    require(newline + 2 == event.data + event.len && newline[1] == '\n');
    buf_free(&json);
    buf_free(&event);
}

/* Backwards, each line is what lies between two newlines. */
static void check_file(const struct log_filter *filter, struct span file)
{
    struct log_columns columns;
    struct tail_reader tail;
    const char *newline = file.len ? memchr(file.data, '\n', file.len) : NULL;
    size_t head = newline ? (size_t)(newline - file.data) : 0;
    size_t from = log_columns_parse(&columns, (struct span){file.data, head}) == 1 ? head + 1 : 0;
    int fd = memfd_of("log", file.data, file.len);
    if (fd < 0)
        return;
    size_t left = file.len;
    char *text;
    size_t len;
    tail_reader_open(&tail, fd, (off_t)from, (off_t)file.len);
    while (tail_reader_next(&tail, &text, &len) == 1) {
        left -= left > from && file.data[left - 1] == '\n';
        require(len <= left - from && memcmp(file.data + left - len, text, len) == 0);
        require(!len || !memchr(text, '\n', len));
        left -= len;
        require(left == from || file.data[left - 1] == '\n');
        check_line(&columns, filter, text, len);
    }
    require(left == from);
    tail_reader_close(&tail);
    close(fd);
    log_columns_free(&columns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_params params;
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    size_t first = newline ? (size_t)(newline - data) : size;
    size_t rest = newline ? size - first - 1 : 0;
    char *query = malloc(first + 1), *file = malloc(rest + 1);
    memcpy(query, data, first);
    if (rest)
        memcpy(file, newline + 1, rest);
    bool ok = log_params_parse(&params, (struct span){query, first}, &config);
    require(ok || params.problem[0]);
    require(!ok || params.limit <= config.log_lines_max);
    struct log_filter filter = {.levels = params.levels,
                                .since_us = params.since_us,
                                .until_us = params.until_us,
                                .fields = {params.fields.data, params.fields.len}};
    if (!ok)
        filter = (struct log_filter){0};
    check_file(&filter, (struct span){file, rest});
    log_params_free(&params);
    free(query);
    free(file);
    return 0;
}
