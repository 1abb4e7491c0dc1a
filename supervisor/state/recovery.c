// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/recovery.h"

#include "common/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct scanner {
    int folder_fd;
    const char *folder;
    const struct journal_reader_sink *sink;
    struct recovery *r;
    struct buf content;
    char *error;
    size_t error_size;
};

static int fail(struct scanner *s, int err, uint64_t first_seq, uint64_t offset, const char *what)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, first_seq);
    snprintf(s->error, s->error_size, "%s/%s:%" PRIu64 ": %s", s->folder, name, offset, what);
    return err;
}

static int load(struct scanner *s, uint64_t first_seq)
{
    int err = segment_load(s->folder_fd, first_seq, &s->content);
    return err ? fail(s, err, first_seq, 0, strerror(-err)) : 0;
}

static struct span loaded(const struct scanner *s)
{
    return (struct span){s->content.data, s->content.len};
}

/* --- where the journal ends before its time --- */

/* Is the first line the valid header of another segment: was the file renamed? */
static bool has_foreign_header(struct span content, uint64_t first_seq)
{
    const char *tab = content.len ? memchr(content.data, '\t', content.len) : NULL;
    const char *newline = content.len ? memchr(content.data, '\n', content.len) : NULL;
    uint64_t seq;
    if (!tab || !newline || tab > newline)
        return false;
    if (!record_number((struct span){content.data, (size_t)(tab - content.data)}, &seq))
        return false;
    struct record_seeds seeds = record_seeds_of(seq, 0);
    struct record_line line;
    return seq != first_seq &&
           record_decode((struct span){content.data, (size_t)(newline - content.data)}, &seeds,
                         &line) &&
           line.kind == RECORD_HEADER;
}

static void raise_claim(struct span content, uint64_t first_seq, size_t from,
                        struct record_position *claim)
{
    struct record_position found;
    if (segment_find_claim(content, first_seq, from, &found) &&
        record_position_compare(found, *claim) > 0)
        *claim = found;
}

static size_t used_bytes(struct span content)
{
    while (content.len && content.data[content.len - 1] == '\n')
        content.len--;
    return content.len;
}

/* The files from number `index` on hold nothing that may count: what do they claim? */
static int read_dropped(struct scanner *s, size_t index, struct record_position *claim)
{
    for (size_t i = index; i < s->r->file_count; i++) {
        int err = load(s, s->r->files[i]);
        if (err)
            return err;
        raise_claim(loaded(s), s->r->files[i], 0, claim);
        s->r->torn_bytes += used_bytes(loaded(s));
    }
    return 0;
}

static int damage(struct scanner *s, struct record_position at, const char *problem,
                  struct record_position claim)
{
    char what[256];
    snprintf(what, sizeof(what),
             "%s; the journal was durable up to %012" PRIu64 ".tsv:%" PRIu64
             ", so records are lost",
             problem, claim.segment, claim.offset);
    return fail(s, -EBADMSG, at.segment, at.offset, what);
}

static void note_torn(struct recovery *r, struct record_position at, const char *problem)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, at.segment);
    snprintf(r->torn_at, sizeof(r->torn_at), "%s:%" PRIu64, name, at.offset);
    r->torn_reason = problem;
}

/* The content of file `index` ends badly at scan->pos. 0: torn. */
static int end_within(struct scanner *s, size_t index, const struct segment_scan *scan)
{
    struct recovery *r = s->r;
    struct record_position at = {scan->first_seq, scan->problem_at}, claim = {0, 0};
    if (!scan->has_header && has_foreign_header(scan->content, scan->first_seq))
        return fail(s, -EBADMSG, scan->first_seq, 0,
                    "the header belongs to a segment of another name");
    r->torn_bytes = segment_scan_rest(scan);
    raise_claim(scan->content, scan->first_seq, scan->pos, &claim);
    struct record_position end = {scan->first_seq, scan->pos};
    note_torn(r, end, scan->problem);
    const char *problem = scan->problem;
    int err = read_dropped(s, index + 1, &claim);
    if (err)
        return err;
    return record_position_compare(claim, end) > 0 ? damage(s, at, problem, claim) : 0;
}

/* File `index` does not continue where the one before it ended, at r->end. 0: torn. */
static int end_between(struct scanner *s, size_t index)
{
    static const char problem[] = "the next segment does not continue here";
    struct recovery *r = s->r;
    struct record_position claim = {0, 0};
    note_torn(r, r->end, problem);
    int err = read_dropped(s, index, &claim);
    if (err)
        return err;
    return record_position_compare(claim, r->end) > 0 ? damage(s, r->end, problem, claim) : 0;
}

/* --- scanning --- */

static int deliver_files(struct scanner *s, struct segment_scan *scan)
{
    const struct segment_file *files;
    size_t count;
    if (scan->file_count == 0 || !s->sink->files)
        return 0;
    int err = segment_scan_files(scan, &files, &count);
    return err ? err : s->sink->files(s->sink->arg, &scan->turn, files, count);
}

static int deliver_timers(struct scanner *s, struct segment_scan *scan)
{
    if (scan->timer_count == 0 || !s->sink->timers)
        return 0;
    return s->sink->timers(s->sink->arg, &scan->turn, scan->timers, scan->timer_count);
}

static int deliver(struct scanner *s, struct segment_scan *scan)
{
    const struct segment_turn *turn = &scan->turn;
    s->r->records++;
    int failed = deliver_files(s, scan);
    if (!failed)
        failed = deliver_timers(s, scan);
    if (failed)
        return fail(s, failed, scan->first_seq, scan->pos, strerror(-failed));
    if (s->sink->wants && !s->sink->wants(s->sink->arg, turn->object_id, turn->seq))
        return 0;
    struct journal_reader_turn full = {
        .seq = turn->seq, .hlc = turn->hlc, .object_id = turn->object_id};
    int err = segment_scan_writes(scan, &full.writes, &full.write_count);
    if (!err)
        err = s->sink->turn(s->sink->arg, &full);
    return err ? fail(s, err, scan->first_seq, scan->pos, strerror(-err)) : 0;
}

enum outcome { WENT_ON = 1, STOPPED = 0 }; /* or -errno */

static bool continues(const struct scanner *s, size_t index, const struct segment_scan *scan)
{
    return index == 0 || scan->control.previous_seq == s->r->last_seq;
}

static int scan_items(struct scanner *s, size_t index, struct segment_scan *scan)
{
    for (;;) {
        bool first = !scan->has_header;
        int err;
        switch (segment_scan_next(scan)) {
        case SEGMENT_CONTROL:
            if (first && !continues(s, index, scan)) {
                scan->pos = 0;
                err = end_between(s, index);
                return err ? err : STOPPED;
            }
            break;
        case SEGMENT_TURN:
            err = deliver(s, scan);
            if (err)
                return err;
            break;
        case SEGMENT_END:
            return WENT_ON;
        case SEGMENT_BAD:
            err = end_within(s, index, scan);
            return err ? err : STOPPED;
        case SEGMENT_UNSUPPORTED:
            return fail(s, -EPROTONOSUPPORT, scan->first_seq, scan->problem_at, scan->problem);
        case SEGMENT_NO_MEMORY:
            return fail(s, -ENOMEM, scan->first_seq, scan->pos, strerror(ENOMEM));
        }
    }
}

/* What of this file counts is known: take it into the result. */
static void note_segment(struct recovery *r, size_t index, const struct segment_scan *scan)
{
    if (!scan->has_header || scan->pos == 0)
        return;
    if (scan->boot > r->max_boot)
        r->max_boot = scan->boot;
    if (scan->max_hlc > r->max_hlc)
        r->max_hlc = scan->max_hlc;
    if (scan->last_seq > r->floor_seq)
        r->floor_seq = scan->last_seq;
    if (scan->last_seq < scan->first_seq)
        return; /* not one turn: the file goes */
    r->keep = index + 1;
    r->cut_size = scan->pos;
    r->last_seq = scan->last_seq;
    r->end = (struct record_position){scan->first_seq, scan->pos};
    r->segments[r->segment_count++] = (struct recovery_segment){
        .first_seq = scan->first_seq, .last_seq = scan->last_seq, .bytes = scan->content.len};
}

static int scan_file(struct scanner *s, size_t index)
{
    int err = load(s, s->r->files[index]);
    if (err)
        return err;
    struct segment_scan scan;
    /* The content is loaded anew when later files are looked at: this scan needs its own. */
    struct buf own = s->content;
    s->content = BUF_INIT;
    segment_scan_init(&scan, (struct span){own.data, own.len}, s->r->files[index]);
    int outcome = scan_items(s, index, &scan);
    if (outcome >= 0)
        note_segment(s->r, index, &scan);
    segment_scan_free(&scan);
    buf_free(&s->content);
    s->content = own;
    return outcome;
}

static int scan_files(struct scanner *s)
{
    for (size_t i = 0; i < s->r->file_count; i++) {
        int outcome = scan_file(s, i);
        if (outcome != WENT_ON)
            return outcome;
    }
    return 0;
}

int recovery_scan(int folder_fd, const char *folder, const struct journal_reader_sink *sink,
                  struct recovery *r, char *error, size_t error_size)
{
    *r = (struct recovery){0};
    struct scanner s = {.folder_fd = folder_fd,
                        .folder = folder,
                        .sink = sink,
                        .r = r,
                        .error = error,
                        .error_size = error_size};
    ssize_t count = segment_list(folder_fd, &r->files);
    if (count >= 0) {
        r->file_count = (size_t)count;
        r->segments = calloc(r->file_count + 1, sizeof(*r->segments));
    }
    if (count < 0 || !r->segments) {
        int err = count < 0 ? (int)count : -ENOMEM;
        snprintf(error, error_size, "%s: %s", folder, strerror(-err));
        return err;
    }
    int err = scan_files(&s);
    buf_free(&s.content);
    if (!err && r->segment_count)
        r->segments[r->segment_count - 1].bytes = r->cut_size;
    return err;
}

void recovery_free(struct recovery *r)
{
    free(r->segments);
    free(r->files);
    r->segments = NULL;
    r->files = NULL;
}

/* --- cutting --- */

static int remove_file(int folder_fd, uint64_t first_seq)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, first_seq);
    if (unlinkat(folder_fd, name, 0) < 0)
        return -errno;
    /* One by one: a crash here must leave a journal without a hole. */
    return fsync(folder_fd) < 0 ? -errno : 0;
}

static int sync_file(int folder_fd, uint64_t first_seq, const uint64_t *cut_size)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, first_seq);
    int fd = openat(folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int err = 0;
    if (cut_size && ftruncate(fd, (off_t)*cut_size) < 0)
        err = -errno;
    if (!err && fsync(fd) < 0)
        err = -errno;
    close(fd);
    return err;
}

static int cut_files(int folder_fd, const struct recovery *r, uint64_t *failed)
{
    int err = FAILPOINT("recovery-cut");
    for (size_t i = r->file_count; !err && i-- > r->keep;) {
        *failed = r->files[i];
        err = remove_file(folder_fd, r->files[i]);
    }
    for (size_t i = 0; !err && i < r->keep; i++) {
        *failed = r->files[i];
        err = sync_file(folder_fd, r->files[i], i + 1 == r->keep ? &r->cut_size : NULL);
    }
    return err ? err : FAILPOINT("recovery-cut-done");
}

int recovery_cut(int folder_fd, const char *folder, const struct recovery *r, char *error,
                 size_t error_size)
{
    uint64_t failed = 0;
    int err = cut_files(folder_fd, r, &failed);
    if (err) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(name, failed);
        snprintf(error, error_size, "%s/%s: cannot be cut: %s", folder, name, strerror(-err));
    }
    return err;
}
