// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/check_report.h"

#include "common/time_text.h"
#include "common/tsv.h"

#include <stdlib.h>
#include <unistd.h>

enum { COLUMNS_MIN = 5, HASH_DIGITS = 64 };
#define HEADER "version_id\ttimestamp\tauthor\tmessage\thash"

struct versions_check {
    struct check_report *report;
    const char *object_id;
    unsigned long long last;
};

static bool is_hash(struct span text)
{
    size_t digits = 0;
    while (digits < text.len && memchr("0123456789abcdef", text.data[digits], 16))
        digits++;
    return digits == text.len && text.len == HASH_DIGITS;
}

static void check_content(struct versions_check *c, unsigned long long id, uint64_t number)
{
    char path[2 * PATH_MAX];
    snprintf(path, sizeof(path), "%s/versions/%s/v%llu.txt", c->report->data_dir, c->object_id, id);
    if (access(path, R_OK) < 0)
        check_report_line(c->report, number, "v%llu.txt: %m", id);
}

static void check_version(struct versions_check *c, const struct span *columns, uint64_t number)
{
    char id_text[32] = "", *end;
    uint64_t us;
    size_t n = columns[0].len < sizeof(id_text) - 1 ? columns[0].len : sizeof(id_text) - 1;
    memcpy(id_text, columns[0].data, n);
    unsigned long long id = strtoull(id_text, &end, 10);
    if (*end || n == 0 || id == 0) {
        check_report_line(c->report, number, "malformed version_id");
        return;
    }
    if (id <= c->last)
        check_report_line(c->report, number, "version_id does not grow");
    c->last = id;
    if (!time_text_parse(columns[1].data, columns[1].len, &us))
        check_report_line(c->report, number, "malformed timestamp");
    if (!is_hash(columns[4]))
        check_report_line(c->report, number, "malformed hash");
    check_content(c, id, number);
}

static void check_line(void *arg, char *line, size_t len, uint64_t number)
{
    struct versions_check *c = arg;
    struct span columns[COLUMNS_MIN];
    if (number == 1) {
        size_t n = strlen(HEADER);
        if (len < n || memcmp(line, HEADER, n) != 0)
            check_report_line(c->report, number, "no header");
        return;
    }
    c->report->entries++;
    check_bytes(c->report, line, len, number);
    check_escapes(c->report, line, len, number);
    if (tsv_split((struct span){line, len}, columns, COLUMNS_MIN) < COLUMNS_MIN)
        check_report_line(c->report, number, "too few columns");
    else
        check_version(c, columns, number);
}

void check_versions_file(struct check_report *r, const char *object_id)
{
    struct versions_check c = {.report = r, .object_id = object_id};
    bool is_cut;
    check_lines(r, check_line, &c, &is_cut);
    if (is_cut && !r->is_live)
        check_report_line(r, 0, "the last line was cut off");
}
