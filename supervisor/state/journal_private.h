// SPDX-License-Identifier: Apache-2.0
/*
 * journal_private - what the files of the journal share: its state, and what they ask of each
 * other. journal.c appends and keeps account, journal_batch.c makes the committer's job of what
 * was gathered, journal_segments.c has the segment that comes next and those that are full.
 */
#ifndef SUPERVISOR_STATE_JOURNAL_PRIVATE_H
#define SUPERVISOR_STATE_JOURNAL_PRIVATE_H

#include "common/clock.h"
#include "supervisor/state/committer.h"
#include "supervisor/state/journal.h"
#include "supervisor/state/segment.h"

/* Of a segment: for header, batch line and idle line. */
enum { JOURNAL_ROOM_KEPT = 3 * RECORD_CONTROL_MAX };

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

/* Hands what was gathered to the committer, which is idle; with_line: with a line that says what
 * is durable. */
void journal_submit(struct journal *j, bool with_line);

/* Asks for a spare of at least `need` bytes, or of the usual size. */
void journal_request_spare(struct journal *j, uint64_t need);
void journal_spare_done(struct journal *j, const struct committer_job *job);
void journal_drop_spare(struct journal *j);
/* The closed segments: as recovery found them; room for one more; the old one is full and synced.
 * False: no memory. */
bool journal_take_closed(struct journal *j, const struct recovery *found);
bool journal_reserve_closed(struct journal *j);
void journal_close_old(struct journal *j);
void journal_remove_done(struct journal *j, const struct committer_job *job);

#endif
