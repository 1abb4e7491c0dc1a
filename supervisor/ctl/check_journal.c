// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/check_report.h"

#include "common/json_scan.h"
#include "common/utf8.h"
#include "supervisor/schedules/schedule_row.h"
#include "supervisor/state/recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { LIVE_ATTEMPTS = 5 /* a running station deletes segments meanwhile */ };

static int check_turn(void *arg, const struct journal_reader_turn *turn)
{
    struct check_report *r = arg;
    r->entries++;
    for (size_t i = 0; i < turn->write_count; i++) {
        const struct segment_write *w = &turn->writes[i];
        if (w->key.len == 0 || !utf8_valid(w->key.data, w->key.len))
            check_report_line(r, 0, "record %llu: malformed key", (unsigned long long)turn->seq);
        if (w->op == RPC_WRITE_SET &&
            (!utf8_valid(w->value.data, w->value.len) || !json_scan_valid(w->value)))
            check_report_line(r, 0, "record %llu: a value is not JSON",
                              (unsigned long long)turn->seq);
    }
    return 0;
}

static int check_timers(void *arg, const struct segment_turn *turn,
                        const struct segment_timer *timers, size_t count)
{
    struct check_report *r = arg;
    struct schedule_row row;
    char problem[SCHEDULE_PROBLEM_SIZE];
    for (size_t i = 0; i < count; i++) {
        if (!timers[i].is_put)
            continue;
        if (schedule_row_read(&row, timers[i].columns, problem, sizeof(problem)))
            schedule_row_free(&row);
        else
            check_report_line(r, 0, "record %llu: schedule %llu: %s", (unsigned long long)turn->seq,
                              (unsigned long long)timers[i].id, problem);
    }
    return 0;
}

static int scan(struct check_report *r, int fd, const char *folder, char *error, size_t size)
{
    struct recovery recovery = {0};
    struct journal_reader_sink sink = {.turn = check_turn, .timers = check_timers, .arg = r};
    int err = recovery_scan(fd, folder, &sink, &recovery, error, size);
    r->files += recovery.file_count;
    if (!err && recovery.torn_bytes > 0 && !r->is_live)
        check_report_note(r,
                          "%s/%s: %llu bytes of a write that never became durable (%s); the next "
                          "start cuts them off",
                          folder, recovery.torn_at, (unsigned long long)recovery.torn_bytes,
                          recovery.torn_reason);
    recovery_free(&recovery);
    return err;
}

void check_journal(struct check_report *r)
{
    char folder[PATH_MAX], error[PATH_MAX + 256] = "";
    uint64_t files = r->files, entries = r->entries;
    check_report_file(r, "journal");
    snprintf(folder, sizeof(folder), "%s/journal", r->data_dir);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = -ENOENT;
    if (fd < 0) {
        r->files = files;
        if (errno != ENOENT)
            check_report_line(r, 0, "cannot be read: %s", strerror(errno));
        return;
    }
    for (int i = 0; i < (r->is_live ? LIVE_ATTEMPTS : 1) && err; i++) {
        r->entries = entries;
        r->files = files;
        err = scan(r, fd, folder, error, sizeof(error));
    }
    if (err) { /* the line names file and offset */
        r->findings++;
        fprintf(r->out, "%s\n", error);
    }
    close(fd);
}
