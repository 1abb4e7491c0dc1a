// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/journal.h"

#include "supervisor/state/journal_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    IDLE_LINE_MS = 50, /* after the last batch became durable */
    LINE_LEAST = 40,   /* no line of a turn is shorter, its fields apart */
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

/* --- handing batches over --- */

static void hand_over(struct journal *j)
{
    if (j->writing || (j->gathered.len == 0 && !j->sync_wanted))
        return;
    journal_submit(j, j->gathered.len > 0);
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
        journal_submit(j, true);
}

/* --- results --- */

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
        journal_close_old(j);
        journal_request_spare(j, 0);
    }
    arm_timers(j);
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
            journal_spare_done(j, job);
            break;
        case COMMITTER_REMOVE:
            journal_remove_done(j, job);
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
    uint64_t used = j->current.offset + gathered + JOURNAL_ROOM_KEPT;
    return used < j->current.size ? j->current.size - used : 0;
}

bool journal_refuses(const struct journal *j, uint64_t payload)
{
    return j->counters.out_of_room && j->spare.fd < 0 && payload + 2 * LINE_LEAST > room(j);
}

/* Waits until a rotation is possible, with a spare that has room for `need` bytes. */
static int ready_spare(struct journal *j, uint64_t need)
{
    bool waited = false;
    while (j->rotating || j->spare.fd < 0 || j->spare.size < need + JOURNAL_ROOM_KEPT) {
        if (j->spare.fd < 0 && j->counters.out_of_room)
            return -ENOSPC;
        if (j->rotating || j->writing) {
            hand_over(j);
        } else {
            if (j->spare.fd >= 0)
                journal_drop_spare(j);
            if (!j->spare.pending)
                journal_request_spare(j, need);
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
    if (!journal_reserve_closed(j))
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

/* --- opening and closing --- */

static bool take_found(struct journal *j, const struct recovery *found, uint64_t floor_seq)
{
    j->last_seq = found->last_seq;
    j->durable_seq = j->notified_seq = j->synced_seq = j->flying_seq = found->last_seq;
    j->next_seq = max_u64(floor_seq, max_u64(found->last_seq, found->floor_seq)) + 1;
    j->synced = j->claimed = j->written = found->end;
    hlc_observe(&j->clock, found->max_hlc);
    return journal_take_closed(j, found);
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
    bool ok = take_found(j, found, floor_seq) && buf_reserve(&j->control, JOURNAL_ROOM_KEPT);
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
    journal_request_spare(j, 0);
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
