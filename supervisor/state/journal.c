// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/journal.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/state/committer.h"
#include "supervisor/state/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    SPARE_RETRY_MS = 1000,
    IDLE_LINE_MS = 50,                  /* after the last batch became durable */
    KEEP_BUFFER = 4 * 1024 * 1024,      /* a batch buffer that grew beyond is given back */
    SPARE_UNIT = 1024 * 1024,           /* a segment for a large record is a multiple of this */
    ROOM_KEPT = 3 * RECORD_CONTROL_MAX, /* header, batch line, idle line */
    LINE_LEAST = 40,                    /* no line of a turn is shorter, its fields apart */
};

/* The segment that records are going to, as it will be once all jobs are done. */
struct current {
    int fd; /* -1: none yet */
    uint64_t first_seq;
    uint64_t size;
    uint64_t offset; /* of the next job's bytes; the gathered batch is not counted */
};

struct spare {
    int fd; /* -1: not ready */
    uint64_t size;
    bool pending; /* the committer is making it */
};

struct journal {
    struct journal_options options;
    struct committer *committer;
    struct loop_source *source;
    struct hlc clock;
    uint64_t last_seq;     /* appended */
    uint64_t next_seq;     /* of the next record; above last_seq + 1 only before a new segment */
    uint64_t durable_seq;  /* as promised by the mode */
    uint64_t notified_seq; /* durable_seq as the owner last heard of it */

    struct current current;
    struct spare spare;
    /* The batch being gathered: up to `split` for `old`, the rest for `current` when rotating. */
    struct buf gathered;
    bool rotating;
    size_t split;
    struct current old;
    uint64_t old_last_seq;     /* of the last record before the rotation */
    struct record_seeds seeds; /* of `current` */

    /* the batch at the committer */
    struct committer_job write_job;
    bool writing;
    bool sync_wanted;
    struct buf flying, control;
    uint64_t flying_seq;               /* durable once the job is done */
    struct record_position flying_end; /* synced once the job is done, if it syncs */

    /* what is known to be on the disk, whatever the mode; named by control lines */
    struct record_position synced;
    uint64_t synced_seq;
    struct record_position claimed; /* newest position that a line written names */
    struct record_position written; /* end of what is written */

    struct committer_job spare_job, remove_job;
    bool removing;
    uint64_t needed_seq; /* trim up to here */
    struct recovery_segment *closed;
    size_t closed_count, closed_cap;
    uint64_t closed_bytes;

    struct loop_timer spare_timer, sync_timer, idle_timer;
    struct journal_counters counters;
};

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t journal_last(const struct journal *j)
{
    return j->last_seq;
}

uint64_t journal_durable(const struct journal *j)
{
    return j->durable_seq;
}

const struct recovery_segment *journal_closed(const struct journal *j, size_t *count)
{
    *count = j->closed_count;
    return j->closed;
}

uint64_t journal_closed_bytes(const struct journal *j)
{
    return j->closed_bytes;
}

static void want_sync(void *arg)
{
    struct journal *j = arg;
    j->sync_wanted = true;
}

const struct journal_counters *journal_counters(const struct journal *j)
{
    return &j->counters;
}

/* The spare segment that is there keeps its size. */
void journal_configure(struct journal *j, uint64_t sync_interval_ns, uint64_t segment_size)
{
    j->options.sync_interval_ns = sync_interval_ns;
    j->options.segment_size = segment_size;
    if (loop_timer_armed(&j->sync_timer)) /* for what is written already */
        loop_timer_set(j->options.loop, &j->sync_timer, sync_interval_ns, want_sync, j);
}

/* --- the spare segment --- */

static void request_spare(struct journal *j, uint64_t size)
{
    j->spare.pending = true;
    j->spare_job = (struct committer_job){.kind = COMMITTER_SPARE, .size = size, .spare_fd = -1};
    committer_submit(j->committer, &j->spare_job);
}

static void retry_spare(void *arg)
{
    struct journal *j = arg;
    if (!j->spare.pending && j->spare.fd < 0)
        request_spare(j, j->options.segment_size);
}

static void spare_done(struct journal *j, const struct committer_job *job)
{
    j->spare.pending = false;
    if (job->err) {
        if (!j->counters.out_of_room)
            log_warn("journal: no room for the next segment in %s: %s; state writes that do not "
                     "fit into the present one are refused until there is",
                     j->options.folder, strerror(-job->err));
        j->counters.out_of_room = true;
        j->counters.out_of_room_err = -job->err;
        loop_timer_set(j->options.loop, &j->spare_timer, SPARE_RETRY_MS * NS_PER_MS, retry_spare,
                       j);
        return;
    }
    if (j->counters.out_of_room)
        log_info("journal: there is room again");
    j->counters.out_of_room = false;
    j->spare.fd = job->spare_fd;
    j->spare.size = job->size;
}

static void drop_spare(struct journal *j)
{
    close(j->spare.fd);
    j->spare.fd = -1;
}

/* --- handing batches over --- */

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

static void submit_write(struct journal *j, bool with_line)
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

static void hand_over(struct journal *j)
{
    if (j->writing || (j->gathered.len == 0 && !j->sync_wanted))
        return;
    submit_write(j, j->gathered.len > 0);
}

/*
 * Nothing came after the last batch: a line without records says that it is durable, so that later
 * damage to it is not taken for a torn tail. Not synced; it costs one write.
 */
static void write_idle_line(void *arg)
{
    struct journal *j = arg;
    if (j->writing || j->gathered.len || j->current.fd < 0)
        return;
    if (record_position_compare(j->claimed, j->synced) < 0)
        submit_write(j, true);
}

/* --- results --- */

static void close_old(struct journal *j)
{
    if (j->old.fd < 0)
        return;
    close(j->old.fd);
    j->closed[j->closed_count++] = (struct recovery_segment){
        .first_seq = j->old.first_seq, .last_seq = j->old_last_seq, .bytes = j->old.size};
    j->closed_bytes += j->old.size;
    j->old.fd = -1;
}

static void arm_timers(struct journal *j)
{
    bool unsynced = record_position_compare(j->synced, j->written) < 0;
    if (j->options.durability == DURABILITY_INTERVAL && unsynced &&
        !loop_timer_armed(&j->sync_timer))
        loop_timer_set(j->options.loop, &j->sync_timer, j->options.sync_interval_ns, want_sync, j);
    if (record_position_compare(j->claimed, j->synced) < 0 && !loop_timer_armed(&j->idle_timer))
        loop_timer_set(j->options.loop, &j->idle_timer, IDLE_LINE_MS * NS_PER_MS, write_idle_line,
                       j);
}

static void write_done(struct journal *j, const struct committer_job *job)
{
    j->writing = false;
    j->durable_seq = j->flying_seq;
    bool records = job->part[0].records.len || job->part[1].records.len;
    if (records)
        j->written = j->flying_end;
    if (job->sync) {
        j->synced = j->written;
        j->synced_seq = j->flying_seq;
    }
    if (job->rotate) {
        close_old(j);
        request_spare(j, j->options.segment_size);
    }
    arm_timers(j);
}

static void trim_next(struct journal *j);

static void remove_done(struct journal *j, const struct committer_job *job)
{
    j->removing = false;
    if (job->err) { /* it is tried again with the next trim */
        log_warn("journal: cannot delete segment %012" PRIu64 " in %s: %s", job->first_seq,
                 j->options.folder, strerror(-job->err));
        return;
    }
    j->closed_bytes -= j->closed[0].bytes;
    memmove(j->closed, j->closed + 1, --j->closed_count * sizeof(*j->closed));
    trim_next(j);
}

static void take_results(struct journal *j)
{
    struct committer_job *job;
    while ((job = committer_done(j->committer))) {
        switch (job->kind) {
        case COMMITTER_WRITE:
            write_done(j, job);
            break;
        case COMMITTER_SPARE:
            spare_done(j, job);
            break;
        case COMMITTER_REMOVE:
            remove_done(j, job);
            break;
        }
    }
}

static void notify(struct journal *j)
{
    if (j->notified_seq == j->durable_seq)
        return;
    j->notified_seq = j->durable_seq;
    j->options.on_durable(j->options.arg);
}

static void on_result(void *arg, uint32_t events)
{
    (void)events;
    struct journal *j = arg;
    take_results(j);
    hand_over(j); /* first: the disk need not wait until the replies of the last batch are sent */
    notify(j);
}

/* Blocks. The owner hears of it at the end of the round: it may be in the middle of something. */
static void wait_for_result(struct journal *j)
{
    committer_wait(j->committer);
    take_results(j);
}

void journal_round(struct journal *j)
{
    notify(j);
    hand_over(j);
}

void journal_flush(struct journal *j)
{
    hand_over(j);
    while (j->writing || j->gathered.len) {
        if (j->writing)
            wait_for_result(j);
        hand_over(j);
    }
}

/* --- room --- */

static uint64_t room(const struct journal *j)
{
    /* Within a segment numbers rise by one: after journal_skip() another one begins. */
    if (j->current.fd < 0 || j->next_seq != j->last_seq + 1)
        return 0;
    uint64_t gathered = j->gathered.len - (j->rotating ? j->split : 0);
    uint64_t used = j->current.offset + gathered + ROOM_KEPT;
    return used < j->current.size ? j->current.size - used : 0;
}

bool journal_refuses(const struct journal *j, uint64_t payload)
{
    return j->counters.out_of_room && j->spare.fd < 0 && payload + 2 * LINE_LEAST > room(j);
}

static bool reserve_closed(struct journal *j)
{
    if (j->closed_count < j->closed_cap)
        return true;
    size_t cap = j->closed_cap ? j->closed_cap * 2 : 16;
    void *grown = realloc(j->closed, cap * sizeof(*j->closed));
    if (!grown)
        return false;
    j->closed = grown;
    j->closed_cap = cap;
    return true;
}

static uint64_t spare_size_for(const struct journal *j, uint64_t need)
{
    if (need + ROOM_KEPT <= j->options.segment_size)
        return j->options.segment_size;
    uint64_t units = (need + ROOM_KEPT + SPARE_UNIT - 1) / SPARE_UNIT;
    return units * SPARE_UNIT;
}

/* Waits until a rotation is possible, with a spare that has room for `need` bytes. */
static int ready_spare(struct journal *j, uint64_t need)
{
    bool waited = false;
    while (j->rotating || j->spare.fd < 0 || j->spare.size < need + ROOM_KEPT) {
        if (j->spare.fd < 0 && j->counters.out_of_room)
            return -ENOSPC;
        if (j->rotating || j->writing) {
            hand_over(j);
        } else {
            if (j->spare.fd >= 0)
                drop_spare(j);
            if (!j->spare.pending)
                request_spare(j, spare_size_for(j, need));
        }
        j->counters.waits += !waited;
        waited = true;
        wait_for_result(j);
    }
    return 0;
}

/* The next record goes to the spare. */
static int rotate(struct journal *j, uint64_t need)
{
    int err = ready_spare(j, need);
    if (err)
        return err;
    if (!reserve_closed(j))
        return -ENOMEM;
    j->old = j->current;
    j->old_last_seq = j->last_seq;
    j->split = j->gathered.len;
    j->rotating = true;
    j->current = (struct current){
        .fd = j->spare.fd, .first_seq = j->next_seq, .size = j->spare.size, .offset = 0};
    j->seeds = record_seeds_of(j->next_seq, j->options.boot);
    j->spare.fd = -1;
    return 0;
}

static void unrotate(struct journal *j)
{
    j->spare.fd = j->current.fd;
    j->current = j->old;
    j->old.fd = -1;
    j->rotating = false;
    j->split = 0;
    j->seeds = record_seeds_of(j->current.first_seq, j->options.boot);
}

/* Encodes at the end of the gathered batch; the size, or -ENOMEM with nothing added. */
static ssize_t encode(struct journal *j, const struct record_turn *turn, struct record_stamp stamp)
{
    size_t start = j->gathered.len;
    record_put_turn(&j->gathered, j->seeds.turn, stamp, turn);
    if (buf_ok(&j->gathered))
        return (ssize_t)(j->gathered.len - start);
    j->gathered.len = start;
    j->gathered.failed = false;
    return -ENOMEM;
}

/* Starts the next segment and encodes there what took `need` bytes in this one. */
static int append_to_next(struct journal *j, const struct record_turn *turn,
                          struct record_stamp stamp, size_t need)
{
    int err = rotate(j, need);
    if (err) {
        j->counters.refused += err == -ENOSPC;
        return err;
    }
    ssize_t size = encode(j, turn, stamp);
    if (size < 0)
        unrotate(j); /* no segment is begun without a record */
    return size < 0 ? (int)size : 0;
}

int journal_append(struct journal *j, const struct record_turn *turn, uint64_t *seq)
{
    struct record_stamp stamp = {j->next_seq, hlc_next(&j->clock)};
    uint64_t available = room(j);
    size_t start = j->gathered.len;
    ssize_t size = encode(j, turn, stamp);
    if (size < 0)
        return (int)size;
    if ((uint64_t)size > available) {
        j->gathered.len = start;
        int err = append_to_next(j, turn, stamp, (size_t)size);
        if (err)
            return err;
    }
    *seq = j->last_seq = stamp.seq;
    j->next_seq = stamp.seq + 1;
    j->counters.records++;
    j->counters.bytes += (uint64_t)size;
    return 0;
}

void journal_skip(struct journal *j, uint64_t seq)
{
    j->next_seq = max_u64(j->next_seq, seq + 1);
}

/* --- trimming --- */

static void trim_next(struct journal *j)
{
    /* Without an open segment the newest closed one has the newest record: it stays. */
    size_t keep = j->current.fd < 0 ? 1 : 0;
    if (j->removing || j->closed_count <= keep || j->closed[0].last_seq >= j->needed_seq)
        return;
    j->removing = true;
    j->remove_job =
        (struct committer_job){.kind = COMMITTER_REMOVE, .first_seq = j->closed[0].first_seq};
    committer_submit(j->committer, &j->remove_job);
}

void journal_trim(struct journal *j, uint64_t needed_seq)
{
    j->needed_seq = max_u64(j->needed_seq, needed_seq);
    trim_next(j);
}

/* --- opening and closing --- */

static bool take_found(struct journal *j, const struct recovery *found, uint64_t floor_seq)
{
    j->last_seq = found->last_seq;
    j->durable_seq = j->notified_seq = j->synced_seq = j->flying_seq = found->last_seq;
    j->next_seq = max_u64(floor_seq, max_u64(found->last_seq, found->floor_seq)) + 1;
    j->synced = j->claimed = j->written = found->end;
    hlc_observe(&j->clock, found->max_hlc);
    j->closed_cap = found->segment_count + 16;
    j->closed = calloc(j->closed_cap, sizeof(*j->closed));
    if (!j->closed)
        return false;
    for (size_t i = 0; i < found->segment_count; i++) {
        j->closed[j->closed_count++] = found->segments[i];
        j->closed_bytes += found->segments[i].bytes;
    }
    return true;
}

static void free_journal(struct journal *j)
{
    loop_unwatch(j->source);
    loop_timer_cancel(&j->spare_timer);
    loop_timer_cancel(&j->sync_timer);
    loop_timer_cancel(&j->idle_timer);
    committer_free(j->committer);
    if (j->spare.fd >= 0)
        close(j->spare.fd);
    if (j->current.fd >= 0)
        close(j->current.fd);
    free(j->closed);
    buf_free(&j->gathered);
    buf_free(&j->flying);
    buf_free(&j->control);
    free(j);
}

struct journal *journal_open(const struct journal_options *options, const struct recovery *found,
                             uint64_t floor_seq)
{
    struct journal *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    j->options = *options;
    j->current.fd = j->old.fd = j->spare.fd = -1;
    bool ok = take_found(j, found, floor_seq) && buf_reserve(&j->control, ROOM_KEPT);
    errno = ENOMEM;
    if (ok)
        j->committer = committer_new(options->folder_fd, options->folder);
    if (j->committer)
        j->source = loop_watch(options->loop, committer_fd(j->committer), EPOLLIN, on_result, j);
    if (!j->source) {
        int err = errno;
        free_journal(j);
        errno = err;
        return NULL;
    }
    request_spare(j, options->segment_size);
    return j;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    journal_flush(j);
    if (record_position_compare(j->synced, j->written) < 0) {
        j->sync_wanted = true;
        journal_flush(j);
    }
    write_idle_line(j);
    journal_flush(j);
    while (j->removing)
        wait_for_result(j);
    free_journal(j);
}
