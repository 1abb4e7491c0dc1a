// SPDX-License-Identifier: Apache-2.0
/*
 * recovery - reads the whole journal at start-up and decides where it ends.
 *
 * The first byte that is not as it must be ends it. If any valid control line, there or later, says
 * that more than this had been durable, records are lost: damage, and the station does not start.
 * Otherwise what follows is the torn tail of a write that never became durable; recovery_cut()
 * removes it. Scanning only reads; `objectctl check` uses it too. Blocks on the disk.
 */
#ifndef SUPERVISOR_STATE_RECOVERY_H
#define SUPERVISOR_STATE_RECOVERY_H

#include "supervisor/state/journal_reader.h"

struct recovery_segment {
    uint64_t first_seq, last_seq;
    uint64_t bytes; /* of the file, once it is cut */
};

struct recovery {
    struct recovery_segment *segments; /* with at least one turn each, oldest first */
    size_t segment_count;
    uint64_t last_seq;  /* of the last turn */
    uint64_t floor_seq; /* no number up to this one may be given again; >= last_seq */
    uint64_t max_hlc;
    uint64_t max_boot;
    uint64_t records;           /* turns */
    struct record_position end; /* of the last valid byte that counts */
    uint64_t torn_bytes;
    char torn_at[128];       /* "segment:offset", when torn_bytes > 0 */
    const char *torn_reason; /* static */
    /* what recovery_cut does */
    uint64_t *files; /* all segment files */
    size_t file_count;
    size_t keep;       /* the first so many stay */
    uint64_t cut_size; /* of the last that stays */
};

/*
 * Hands every turn to the sink, in order, and fills in *r. 0; -EBADMSG: damage; -EPROTONOSUPPORT:
 * written by a newer version; what the sink returned; or another -errno: `error` has one line with
 * file and offset. recovery_free() in any case.
 */
int recovery_scan(int folder_fd, const char *folder, const struct journal_reader_sink *sink,
                  struct recovery *r, char *error, size_t error_size);
/* Cuts the torn tail and unused space, and makes durable what was read. 0 or -errno and error. */
int recovery_cut(int folder_fd, const char *folder, const struct recovery *r, char *error,
                 size_t error_size);
void recovery_free(struct recovery *r);

#endif
