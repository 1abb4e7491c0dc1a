// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/check_report.h"

#include "common/tsv.h"
#include "supervisor/schedules/schedule_row.h"
#include "supervisor/state/timer_image.h"

#include <stdio.h>

struct schedules_check {
    struct check_report *report;
    uint64_t last;
};

static void check_row(struct schedules_check *c, struct span line, uint64_t number)
{
    struct span fields[2];
    struct schedule_row row;
    char problem[SCHEDULE_PROBLEM_SIZE];
    uint64_t id;
    if (tsv_split(line, fields, 2) < 3 || !record_number(fields[0], &id)) {
        check_report_line(c->report, number, "no schedule");
        return;
    }
    if (id <= c->last)
        check_report_line(c->report, number, "the id does not grow");
    c->last = id;
    const char *columns = fields[1].data + fields[1].len + 1;
    struct span rest = {columns, line.len - (size_t)(columns - line.data)};
    if (schedule_row_read(&row, rest, problem, sizeof(problem)))
        schedule_row_free(&row);
    else
        check_report_line(c->report, number, "%s", problem);
    c->report->entries++;
}

static void check_line(void *arg, char *line, size_t len, uint64_t number)
{
    struct schedules_check *c = arg;
    check_bytes(c->report, line, len, number);
    check_escapes(c->report, line, len, number);
    if (number > 1)
        check_row(c, (struct span){line, len}, number);
}

/* As a start reads it; the lines are looked into when that can be done. */
void check_schedules(struct check_report *r)
{
    struct schedules_check c = {.report = r};
    struct timer_image *image;
    char error[256];
    bool is_cut;
    int err = timer_image_load(&image, r->data_dir, error, sizeof(error));
    timer_image_free(image);
    if (err)
        check_report_line(r, 0, "%s", error);
    else
        check_lines(r, check_line, &c, &is_cut);
}
