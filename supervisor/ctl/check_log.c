// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/check_report.h"

#include "common/json_scan.h"
#include "common/time_text.h"
#include "supervisor/log/log_line.h"

enum { OUR_COLUMNS = 6 };

struct log_check {
    struct check_report *report;
    struct log_columns columns;
    bool is_known; /* the columns were read */
};

static void check_fields(struct log_check *c, const struct log_line *l, uint64_t number)
{
    struct span time = log_line_column(l, "timestamp"), fields = log_line_column(l, "fields");
    uint64_t us;
    if (!time_text_parse(time.data, time.len, &us))
        check_report_line(c->report, number, "malformed timestamp");
    if (log_line_column(l, "level").len == 0)
        check_report_line(c->report, number, "no level");
    if (fields.len > 0 && !json_scan_object(fields).at)
        check_report_line(c->report, number, "fields is not a JSON object");
}

/* Files of the earlier system: no more columns than their header has. */
static void check_line(void *arg, char *line, size_t len, uint64_t number)
{
    struct log_check *c = arg;
    struct log_line l;
    if (!c->is_known) {
        int got = log_columns_parse(&c->columns, (struct span){line, len});
        c->is_known = got >= 0;
        if (got == 0)
            check_report_line(c->report, number, "no header");
        if (got != 0)
            return;
    }
    c->report->entries++;
    check_bytes(c->report, line, len, number);
    if (c->columns.is_ours)
        check_escapes(c->report, line, len, number);
    log_line_parse(&l, &c->columns, line, len);
    if (c->columns.is_ours ? l.count < OUR_COLUMNS : l.count > c->columns.count)
        check_report_line(c->report, number, "%zu columns instead of %zu", l.count,
                          c->columns.count);
    else if (c->columns.is_ours)
        check_fields(c, &l, number);
}

void check_log_file(struct check_report *r)
{
    struct log_check c = {.report = r};
    bool is_cut;
    check_lines(r, check_line, &c, &is_cut);
    if (is_cut && !r->is_live)
        check_report_note(r, "%s/%s: the last line was cut off", r->data_dir, r->path);
    log_columns_free(&c.columns);
}
