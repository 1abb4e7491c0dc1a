// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/journal_private.h"

#include "common/log.h"

enum { KEEP_BUFFER = 4 * 1024 * 1024 /* a batch buffer that grew beyond is given back */ };

static void put_batch_line(struct journal *j, const struct current *segment)
{
    struct record_control control = {
        .boot = j->options.boot, .durable = j->synced, .durable_seq = j->synced_seq};
    struct record_stamp stamp = {j->flying_seq, j->clock.last};
    record_put_batch(&j->control, segment->first_seq, stamp, &control);
    j->claimed = j->synced;
}

static void put_header(struct journal *j, const struct committer_part *before, bool sync)
{
    struct record_control control = {.boot = j->options.boot,
                                     .durable = j->synced,
                                     .durable_seq = j->synced_seq,
                                     .station = span_of(j->options.station),
                                     .previous_seq = j->old_last_seq};
    if (sync && before->fd >= 0) { /* the committer syncs that part before it writes this one */
        control.durable = (struct record_position){
            before->first_seq, before->offset + before->control.len + before->records.len};
        control.durable_seq = j->old_last_seq;
    }
    record_put_header(&j->control, (struct record_stamp){j->current.first_seq, j->clock.last},
                      &control);
    j->claimed = control.durable;
}

static struct span slice(const struct buf *b, size_t from, size_t to)
{
    return (struct span){b->data ? b->data + from : "", to - from};
}

static struct committer_part part_of(const struct current *segment)
{
    return (struct committer_part){
        .fd = segment->fd, .first_seq = segment->first_seq, .offset = segment->offset};
}

/* The part of the batch that belongs to the segment which was open before it. */
static void fill_first_part(struct journal *j, struct committer_part *part, bool with_line)
{
    const struct current *segment = j->rotating ? &j->old : &j->current;
    size_t end = j->rotating ? j->split : j->flying.len;
    *part = part_of(segment);
    if (segment->fd < 0)
        return;
    if (with_line && (end > 0 || !j->rotating))
        put_batch_line(j, segment);
    part->control.len = j->control.len;
    part->records = slice(&j->flying, 0, end);
}

static void fill_second_part(struct journal *j, struct committer_job *job)
{
    size_t start = j->control.len;
    put_header(j, &job->part[0], job->sync);
    job->part[1] = part_of(&j->current);
    job->part[1].control.len = j->control.len - start;
    job->part[1].records = slice(&j->flying, j->split, j->flying.len);
}

/* Control lines were written into one buffer that may have moved meanwhile. */
static void place_control(struct journal *j, struct committer_job *job)
{
    job->part[0].control.data = j->control.data;
    job->part[1].control.data = j->control.data + job->part[0].control.len;
}

static uint64_t part_size(const struct committer_part *part)
{
    return part->control.len + part->records.len;
}

void journal_submit(struct journal *j, bool with_line)
{
    struct committer_job *job = &j->write_job;
    bool fsync_mode = j->options.durability == DURABILITY_FSYNC;
    bool records = j->gathered.len > 0;
    *job = (struct committer_job){.kind = COMMITTER_WRITE, .rotate = j->rotating};
    job->part[0].fd = job->part[1].fd = -1;
    job->sync = (fsync_mode && records) || j->sync_wanted ||
                (j->rotating && j->options.durability != DURABILITY_NONE);
    j->sync_wanted = false;

    struct buf empty = j->flying;
    j->flying = j->gathered;
    j->gathered = empty;
    buf_reset(&j->gathered, KEEP_BUFFER);
    buf_reset(&j->control, KEEP_BUFFER);
    fill_first_part(j, &job->part[0], with_line);
    if (job->rotate)
        fill_second_part(j, job);
    place_control(j, job);
    if (!buf_ok(&j->control)) /* reserved at open */
        bug("journal: no room for a control line");

    j->current.offset += part_size(&job->part[job->rotate]);
    j->flying_seq = j->last_seq;
    j->flying_end = (struct record_position){j->current.first_seq, j->current.offset};
    j->rotating = false;
    j->split = 0;
    j->writing = true;
    j->counters.batches += records;
    j->counters.syncs += job->sync;
    committer_submit(j->committer, job);
}
