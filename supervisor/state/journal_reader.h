// SPDX-License-Identifier: Apache-2.0
/*
 * journal_reader - the turns of the journal in order, read from its folder.
 *
 * What the scribe merges into checkpoints. Reads only up to the sequence number asked for, which
 * must be durable: the supervisor may be writing behind it meanwhile. Supervisor and scribe; blocks
 * on disk reads.
 */
#ifndef SUPERVISOR_STATE_JOURNAL_READER_H
#define SUPERVISOR_STATE_JOURNAL_READER_H

#include "supervisor/state/segment.h"

struct journal_reader_turn {
    uint64_t seq;
    uint64_t hlc;
    struct span object_id;
    const struct segment_write *writes; /* in order; keys and values unescaped */
    size_t write_count;
};

struct journal_reader_sink {
    /* May be NULL: all are wanted. False spares the work of decoding this turn's writes. */
    bool (*wants)(void *arg, struct span object_id, uint64_t seq);
    /* May be NULL, but in recovery. Everything is borrowed until the return. Nonzero ends the
     * reading with that result. */
    int (*turn)(void *arg, const struct journal_reader_turn *turn);
    /* May be NULL. Recovery only: the changes of files of every turn that has any, wanted or not.
     */
    int (*files)(void *arg, const struct segment_turn *turn, const struct segment_file *files,
                 size_t count);
    /* May be NULL. The changes of schedules of every turn that has any, wanted or not. */
    int (*timers)(void *arg, const struct segment_turn *turn, const struct segment_timer *timers,
                  size_t count);
    void *arg;
};

/*
 * Hands every turn with after_seq < seq <= upto_seq to the sink, in order. 0; what the sink
 * returned; -EBADMSG: damage, or the journal ends before upto_seq (error says file and offset);
 * another -errno with the file in error.
 */
int journal_read(const char *folder, uint64_t after_seq, uint64_t upto_seq,
                 const struct journal_reader_sink *sink, char *error, size_t error_size);

#endif
