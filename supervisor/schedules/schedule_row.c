// SPDX-License-Identifier: Apache-2.0
#include "supervisor/schedules/schedule_row.h"

#include "common/clock.h"
#include "common/json_scan.h"
#include "common/time_text.h"
#include "common/tsv.h"
#include "common/utf8.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    AT_FUNCTION,
    AT_WHEN,
    AT_MISFIRE,
    AT_ORIGIN,
    AT_NEXT,
    AT_LAST,
    AT_STATUS,
    AT_RUNS,
    AT_ERRORS,
    AT_SKIPPED,
    AT_SUSPENDED,
    AT_PAYLOAD,
    COLUMNS
};

static const char *const origin_names[SCHEDULE_ORIGINS] = {
    [SCHEDULE_BY_CALL] = "call", [SCHEDULE_BY_DEPLOY] = "deploy"};

const char *schedule_origin_name(enum schedule_origin origin)
{
    return origin_names[origin];
}

bool schedule_function_valid(struct span name)
{
    if (name.len == 0 || name.len > SCHEDULE_FUNCTION_MAX || isdigit((unsigned char)name.data[0]))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c < 0x80 && !isalnum(c) && c != '_')
            return false;
    }
    return utf8_valid(name.data, name.len);
}

/* --- writing --- */

static void put_text(struct buf *out, struct span text)
{
    tsv_put(out, text.data, text.len);
    buf_putc(out, '\t');
}

static void put_time(struct buf *out, int64_t us)
{
    char text[CLOCK_ISO_SIZE] = "";
    if (us > 0)
        clock_iso((uint64_t)us, text);
    put_text(out, span_of(text));
}

void schedule_row_put(struct buf *out, const struct schedule_row *row)
{
    put_text(out, row->function);
    put_text(out, row->when);
    put_text(out, span_of(rpc_misfire_names[row->misfire]));
    put_text(out, span_of(origin_names[row->origin]));
    put_time(out, row->next_us);
    put_time(out, row->last_us);
    put_text(out, row->status);
    buf_printf(out, "%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t", row->runs, row->errors,
               row->skipped);
    put_text(out, row->suspended);
    tsv_put(out, row->payload.data, row->payload.len);
}

/* --- reading --- */

static int find_word(struct span word, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (span_equal(word, names[i]))
            return i;
    return -1;
}

static bool read_number(struct span text, uint64_t *value)
{
    *value = 0;
    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!isdigit((unsigned char)text.data[i]))
            return false;
        *value = *value * 10 + (uint64_t)(text.data[i] - '0');
    }
    return true;
}

static bool read_time(struct span text, int64_t *us)
{
    uint64_t value = 0;
    bool ok = text.len == 0 || time_text_parse(text.data, text.len, &value);
    *us = (int64_t)value;
    return ok;
}

static bool unescape_all(struct schedule_row *row, struct span fields[COLUMNS], size_t len)
{
    row->text = BUF_INIT;
    if (!buf_reserve(&row->text, len + COLUMNS)) /* at once: the spans must not move */
        return false;
    for (size_t i = 0; i < COLUMNS; i++) {
        size_t start = row->text.len;
        tsv_unescape(&row->text, fields[i]);
        fields[i] = (struct span){row->text.data + start, row->text.len - start};
        buf_putc(&row->text, '\0');
    }
    return true;
}

static const char *take(struct schedule_row *row, const struct span f[COLUMNS], char *problem,
                        size_t size)
{
    struct when when;
    int misfire = find_word(f[AT_MISFIRE], rpc_misfire_names, RPC_MISFIRES);
    int origin = find_word(f[AT_ORIGIN], origin_names, SCHEDULE_ORIGINS);
    row->function = f[AT_FUNCTION];
    row->when = f[AT_WHEN];
    row->status = f[AT_STATUS];
    row->suspended = f[AT_SUSPENDED];
    row->payload = f[AT_PAYLOAD];
    row->misfire = misfire < 0 ? RPC_MISFIRE_ONCE : (enum rpc_misfire)misfire;
    row->origin = origin < 0 ? SCHEDULE_BY_CALL : (enum schedule_origin)origin;
    if (!schedule_function_valid(row->function))
        return "no name of a function";
    if (memchr(row->when.data, '\0', row->when.len) ||
        !when_parse(row->when.data, &when, problem, size))
        return *problem ? problem : "no time";
    if (misfire < 0 || origin < 0)
        return "a word that is not known";
    if (!read_time(f[AT_NEXT], &row->next_us) || !read_time(f[AT_LAST], &row->last_us))
        return "malformed time";
    if (!read_number(f[AT_RUNS], &row->runs) || !read_number(f[AT_ERRORS], &row->errors) ||
        !read_number(f[AT_SKIPPED], &row->skipped))
        return "malformed number";
    if (!utf8_valid(row->status.data, row->status.len) ||
        !utf8_valid(row->suspended.data, row->suspended.len))
        return "not UTF-8";
    if (row->payload.len && !json_scan_valid(row->payload))
        return "the payload is not JSON";
    return NULL;
}

bool schedule_row_read(struct schedule_row *row, struct span columns, char *problem, size_t size)
{
    struct span fields[COLUMNS];
    char why[SCHEDULE_PROBLEM_SIZE] = "";
    *row = (struct schedule_row){.text = BUF_INIT};
    if (tsv_split(columns, fields, COLUMNS) < COLUMNS) {
        snprintf(problem, size, "columns are missing");
        return false;
    }
    const char *wrong =
        unescape_all(row, fields, columns.len) ? take(row, fields, why, sizeof(why)) : "no memory";
    if (!wrong)
        return true;
    snprintf(problem, size, "%s", wrong);
    schedule_row_free(row);
    return false;
}

void schedule_row_free(struct schedule_row *row)
{
    buf_free(&row->text);
}
