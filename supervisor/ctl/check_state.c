// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/check_report.h"

#include "common/json_scan.h"
#include "common/state_file.h"
#include "common/time_text.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct keys {
    struct check_report *report;
    struct buf last;
};

static void check_order(struct keys *k, const struct state_file *f, struct span key)
{
    size_t shorter = key.len < k->last.len ? key.len : k->last.len;
    int order = shorter ? memcmp(k->last.data, key.data, shorter) : 0;
    bool is_same = order == 0 && k->last.len == key.len;
    if (is_same)
        check_report_line(k->report, f->line, "the same key again");
    else if (k->last.len > 0 && (order > 0 || (order == 0 && k->last.len > key.len)))
        check_report_line(k->report, f->line, "out of order");
    buf_reset(&k->last, SIZE_MAX);
    buf_append(&k->last, key.data, key.len);
}

static void check_entry(struct keys *k, const struct state_file *f,
                        const struct state_file_entry *e)
{
    uint64_t us;
    k->report->entries++;
    if (f->is_legacy) /* in any order, values are any text */
        return;
    check_order(k, f, e->key);
    if (!e->is_tombstone && !json_scan_valid(e->value))
        check_report_line(k->report, f->line, "value is not JSON");
    if (!time_text_parse(e->timestamp.data, e->timestamp.len, &us))
        check_report_line(k->report, f->line, "malformed timestamp");
}

static void check_entries(struct check_report *r, int fd)
{
    struct keys k = {.report = r};
    struct state_file f;
    struct state_file_entry e;
    int got = state_file_open(&f, fd);
    if (got == 0)
        got = state_file_next(&f, &e);
    for (; got == 1 || got == -EBADMSG; got = state_file_next(&f, &e)) {
        if (got == 1)
            check_entry(&k, &f, &e);
        else
            check_report_line(r, f.line, "%s", f.error);
    }
    if (got < 0)
        check_report_line(r, f.line, "cannot be read: %s", strerror(-got));
    state_file_close(&f);
    buf_free(&k.last);
}

/* What reading undoes, and does not complain of. */
static void check_line(void *arg, char *line, size_t len, uint64_t number)
{
    check_escapes(arg, line, len, number);
}

void check_state_file(struct check_report *r)
{
    char path[2 * PATH_MAX];
    struct state_file f;
    bool is_cut;
    snprintf(path, sizeof(path), "%s/%s", r->data_dir, r->path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        if (errno != ENOENT)
            check_report_line(r, 0, "cannot be read: %s", strerror(errno));
        return;
    }
    int err = state_file_open(&f, fd);
    if (!err && f.at_eof && f.end == 0)
        check_report_note(r, "%s/%s is empty: it counts as no checkpoint at all", r->data_dir,
                          r->path);
    bool is_legacy = f.is_legacy;
    state_file_close(&f);
    if (!err && !is_legacy)
        check_lines(r, check_line, r, &is_cut);
    check_entries(r, fd);
    close(fd);
}
