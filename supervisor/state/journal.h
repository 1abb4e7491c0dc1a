// SPDX-License-Identifier: Apache-2.0
/*
 * journal - appends turns, gathers them into batches and keeps account of what is durable.
 *
 * journal_append() encodes into the batch being gathered; journal_round(), at the end of each round
 * of the loop, hands the batch to the committer when that is idle (group commit: what arrives
 * during one fdatasync shares the next). A spare segment is always being prepared ahead, so that a
 * record is accepted only when there is surely room for it on the disk. While the spare cannot be
 * made, records that do not fit are refused; it is tried again every second.
 *
 * Durability: with fsync, a record counts as durable when it is synced; with interval and none when
 * it is written (synced at least every sync_interval, or at close only).
 *
 * The first segment of a start is begun with its first record. Blocks only where a record comes
 * before the next segment is ready, and in journal_flush and journal_close. Loop thread.
 */
#ifndef SUPERVISOR_STATE_JOURNAL_H
#define SUPERVISOR_STATE_JOURNAL_H

#include "supervisor/config.h"
#include "supervisor/loop.h"
#include "supervisor/state/record.h"
#include "supervisor/state/recovery.h"

struct journal;

struct journal_options {
    struct loop *loop;
    const char *folder; /* borrowed */
    int folder_fd;      /* borrowed */
    const char *station;
    uint64_t boot;
    enum durability durability;
    uint64_t sync_interval_ns;
    uint64_t segment_size;
    void (*on_durable)(void *arg); /* journal_durable() has grown */
    void *arg;
};

/* Goes on where `found` (already cut) ended, with numbers above floor_seq. NULL: errno. */
struct journal *journal_open(const struct journal_options *options, const struct recovery *found,
                             uint64_t floor_seq);
/* From now on these two; the mode stays. */
void journal_configure(struct journal *j, uint64_t sync_interval_ns, uint64_t segment_size);
/* Makes everything appended durable, whatever the mode, and frees. */
void journal_close(struct journal *j);

/*
 * Appends one turn. 0 and its number; -ENOSPC: no room, nothing happened; -ENOMEM likewise.
 */
int journal_append(struct journal *j, const struct record_turn *turn, uint64_t *seq);
/* True when a record with so many bytes of keys and values would now be refused for sure. */
bool journal_refuses(const struct journal *j, uint64_t payload);
/* The next record's number will be above seq. */
void journal_skip(struct journal *j, uint64_t seq);
/* Hands the gathered batch over when the committer is idle. */
void journal_round(struct journal *j);
/* Blocks until everything appended is durable in the sense of the mode. */
void journal_flush(struct journal *j);

uint64_t journal_last(const struct journal *j);
uint64_t journal_durable(const struct journal *j);

/* Closed segments, oldest first; valid until the loop runs on. */
const struct recovery_segment *journal_closed(const struct journal *j, size_t *count);
uint64_t journal_closed_bytes(const struct journal *j);
/*
 * Deletes closed segments that hold no record from `needed_seq` on, in the background. The newest
 * record of the journal always stays.
 */
void journal_trim(struct journal *j, uint64_t needed_seq);

struct journal_counters {
    uint64_t records, bytes; /* appended since the start */
    uint64_t batches, syncs;
    uint64_t refused;    /* -ENOSPC */
    uint64_t waits;      /* times that the loop had to wait for a segment */
    bool out_of_room;    /* the spare cannot be made at present */
    int out_of_room_err; /* why, errno */
};
const struct journal_counters *journal_counters(const struct journal *j);

#endif
