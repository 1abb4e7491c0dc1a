// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/check_report.h"

#include "common/time_text.h"
#include "common/tsv.h"
#include "supervisor/objects/source.h"
#include "supervisor/versions/version_line.h"
#include "supervisor/versions/version_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct versions_check {
    struct check_report *report;
    const char *object_id;
    struct version_columns columns;
    uint64_t last;
};

static void check_content(struct versions_check *c, const struct version_line *v, uint64_t number)
{
    char name[VERSION_NAME_SIZE];
    int err;
    version_file_name(v->id, name);
    struct source *s = version_file_read(c->report->data_dir, c->object_id, v->id, &err);
    if (!s)
        check_report_line(c->report, number, "%s: %s", name, strerror(-err));
    else if (!sha256_equal(s->hash, v->hash))
        check_report_line(c->report, number, "%s is not what was stored: its hash differs", name);
    source_unref(s);
}

static bool is_status(struct span text)
{
    return text.len == 0 || span_equal(text, "accepted") || span_equal(text, "rejected");
}

static void check_version(struct versions_check *c, const struct version_line *v, uint64_t number)
{
    uint64_t us;
    struct span time = v->field[VERSION_TIMESTAMP];
    if (v->id <= c->last)
        check_report_line(c->report, number, "version_id does not grow");
    c->last = v->id;
    if (!time_text_parse(time.data, time.len, &us))
        check_report_line(c->report, number, "malformed timestamp");
    if (!is_status(v->field[VERSION_STATUS]))
        check_report_line(c->report, number, "malformed status");
    if (v->has_hash)
        check_content(c, v, number);
    else
        check_report_line(c->report, number, "malformed hash");
}

static void check_fields(struct versions_check *c, struct span line, uint64_t number)
{
    struct version_line v;
    if (version_line_parse(&c->columns, line, &v))
        check_version(c, &v, number);
    else if (tsv_split(line, NULL, 0) < VERSION_HASH + 1)
        check_report_line(c->report, number, "too few columns");
    else
        check_report_line(c->report, number, "malformed version_id");
}

static void check_line(void *arg, char *line, size_t len, uint64_t number)
{
    struct versions_check *c = arg;
    if (number == 1) {
        if (!version_columns_parse(&c->columns, (struct span){line, len}))
            check_report_line(c->report, number, "no header");
        return;
    }
    c->report->entries++;
    check_bytes(c->report, line, len, number);
    check_escapes(c->report, line, len, number);
    check_fields(c, (struct span){line, len}, number);
}

void check_versions_file(struct check_report *r, const char *object_id)
{
    struct versions_check c = {.report = r, .object_id = object_id};
    bool is_cut;
    check_lines(r, check_line, &c, &is_cut);
    /* the earlier system left the last newline out */
    if (is_cut && c.columns.has_status && !r->is_live)
        check_report_line(r, 0, "the last line was cut off");
}
