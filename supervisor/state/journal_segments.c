// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/journal_private.h"

#include "common/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SPARE_RETRY_MS = 1000,
    SPARE_UNIT = 1024 * 1024, /* a segment for a large record is a multiple of this */
};

/* --- the spare, which comes next --- */

static uint64_t spare_size_for(const struct journal *j, uint64_t need)
{
    if (need + JOURNAL_ROOM_KEPT <= j->options.segment_size)
        return j->options.segment_size;
    uint64_t units = (need + JOURNAL_ROOM_KEPT + SPARE_UNIT - 1) / SPARE_UNIT;
    return units * SPARE_UNIT;
}

void journal_request_spare(struct journal *j, uint64_t need)
{
    uint64_t size = spare_size_for(j, need);
    j->spare.pending = true;
    j->spare_job = (struct committer_job){.kind = COMMITTER_SPARE, .size = size, .spare_fd = -1};
    committer_submit(j->committer, &j->spare_job);
}

static void retry_spare(void *arg)
{
    struct journal *j = arg;
    if (!j->spare.pending && j->spare.fd < 0)
        journal_request_spare(j, 0);
}

void journal_spare_done(struct journal *j, const struct committer_job *job)
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

void journal_drop_spare(struct journal *j)
{
    close(j->spare.fd);
    j->spare.fd = -1;
}

/* --- those that are full --- */

const struct recovery_segment *journal_closed(const struct journal *j, size_t *count)
{
    *count = j->closed_count;
    return j->closed;
}

uint64_t journal_closed_bytes(const struct journal *j)
{
    return j->closed_bytes;
}

bool journal_take_closed(struct journal *j, const struct recovery *found)
{
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

bool journal_reserve_closed(struct journal *j)
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

void journal_close_old(struct journal *j)
{
    if (j->old.fd < 0)
        return;
    close(j->old.fd);
    j->closed[j->closed_count++] = (struct recovery_segment){
        .first_seq = j->old.first_seq, .last_seq = j->old_last_seq, .bytes = j->old.size};
    j->closed_bytes += j->old.size;
    j->old.fd = -1;
}

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

void journal_remove_done(struct journal *j, const struct committer_job *job)
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

void journal_trim(struct journal *j, uint64_t needed_seq)
{
    if (needed_seq > j->needed_seq)
        j->needed_seq = needed_seq;
    trim_next(j);
}
