// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/journal_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct reader {
    const char *folder;
    int folder_fd;
    uint64_t after_seq, upto_seq;
    const struct journal_reader_sink *sink;
    struct buf content;
    uint64_t last_seq; /* of the last turn seen */
    char *error;
    size_t error_size;
};

static int fail(struct reader *r, int err, uint64_t first_seq, size_t offset, const char *what)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, first_seq);
    snprintf(r->error, r->error_size, "%s/%s:%zu: %s", r->folder, name, offset, what);
    return err;
}

static int deliver(struct reader *r, struct segment_scan *scan)
{
    const struct segment_turn *turn = &scan->turn;
    if (turn->seq <= r->after_seq)
        return 0;
    int failed = scan->timer_count && r->sink->timers
                     ? r->sink->timers(r->sink->arg, turn, scan->timers, scan->timer_count)
                     : 0;
    if (failed || !r->sink->turn)
        return failed;
    if (r->sink->wants && !r->sink->wants(r->sink->arg, turn->object_id, turn->seq))
        return 0;
    struct journal_reader_turn full = {
        .seq = turn->seq, .hlc = turn->hlc, .object_id = turn->object_id};
    int err = segment_scan_writes(scan, &full.writes, &full.write_count);
    if (err)
        return fail(r, err, scan->first_seq, scan->pos, strerror(-err));
    return r->sink->turn(r->sink->arg, &full);
}

/* Does this header say that the segment goes on where the one before it ended? */
static int check_header(struct reader *r, const struct segment_scan *scan)
{
    if (r->last_seq == 0 || scan->control.previous_seq == r->last_seq)
        return 0;
    return fail(r, -EBADMSG, scan->first_seq, 0, "records before this segment are missing");
}

static int read_turns(struct reader *r, struct segment_scan *scan)
{
    while (r->last_seq < r->upto_seq) {
        int err = 0;
        bool first = !scan->has_header;
        switch (segment_scan_next(scan)) {
        case SEGMENT_CONTROL:
            err = first ? check_header(r, scan) : 0;
            break;
        case SEGMENT_TURN:
            err = scan->turn.seq <= r->upto_seq ? deliver(r, scan) : 0;
            r->last_seq = scan->turn.seq;
            break;
        case SEGMENT_END:
            return 0;
        case SEGMENT_NO_MEMORY:
            return fail(r, -ENOMEM, scan->first_seq, scan->pos, strerror(ENOMEM));
        case SEGMENT_BAD:
        case SEGMENT_UNSUPPORTED:
            return fail(r, -EBADMSG, scan->first_seq, scan->problem_at, scan->problem);
        }
        if (err)
            return err;
    }
    return 0;
}

static int read_segment(struct reader *r, uint64_t first_seq)
{
    int err = segment_load(r->folder_fd, first_seq, &r->content);
    if (err)
        return fail(r, err, first_seq, 0, strerror(-err));
    struct segment_scan scan;
    segment_scan_init(&scan, (struct span){r->content.data, r->content.len}, first_seq);
    err = read_turns(r, &scan);
    segment_scan_free(&scan);
    return err;
}

static int read_segments(struct reader *r, const uint64_t *first_seqs, size_t count)
{
    size_t i = 0;
    /* The last segment that starts at or before the first turn wanted. */
    while (i + 1 < count && first_seqs[i + 1] <= r->after_seq + 1)
        i++;
    for (; i < count && r->last_seq < r->upto_seq; i++) {
        int err = first_seqs[i] > r->upto_seq ? 0 : read_segment(r, first_seqs[i]);
        /* Trimmed since the folder was listed: the oldest go first, and nobody needs them. */
        if (err && !(err == -ENOENT && r->last_seq == 0))
            return err;
    }
    if (r->last_seq < r->upto_seq && r->after_seq < r->upto_seq)
        return fail(r, -EBADMSG, count ? first_seqs[count - 1] : 0, 0,
                    "the journal ends before the record asked for");
    return 0;
}

int journal_read(const char *folder, uint64_t after_seq, uint64_t upto_seq,
                 const struct journal_reader_sink *sink, char *error, size_t error_size)
{
    struct reader r = {.folder = folder,
                       .after_seq = after_seq,
                       .upto_seq = upto_seq,
                       .sink = sink,
                       .error = error,
                       .error_size = error_size};
    r.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r.folder_fd < 0) {
        int err = errno;
        snprintf(error, error_size, "%s: %s", folder, strerror(err));
        return -err;
    }
    uint64_t *first_seqs;
    ssize_t count = segment_list(r.folder_fd, &first_seqs);
    int err = count < 0 ? (int)count : read_segments(&r, first_seqs, (size_t)count);
    if (count < 0)
        snprintf(error, error_size, "%s: %s", folder, strerror(-err));
    free(first_seqs);
    buf_free(&r.content);
    close(r.folder_fd);
    return err;
}
