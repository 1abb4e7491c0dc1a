// SPDX-License-Identifier: Apache-2.0
/*
 * segment - one file of the journal: its name, its content read turn by turn.
 *
 * A segment is named by its first sequence number (at least 12 digits, ".tsv"), starts with a
 * header line and is preallocated with newlines: from the first blank line to the end everything is
 * unused space. A scan works on the whole content in memory (segment_load) and stops at the first
 * byte that is not as it must be. Supervisor and scribe; no globals.
 */
#ifndef SUPERVISOR_STATE_SEGMENT_H
#define SUPERVISOR_STATE_SEGMENT_H

#include "common/rpc.h"
#include "supervisor/state/record.h"

#include <sys/types.h>

/* --- files --- */

enum { SEGMENT_NAME_SIZE = 32 };
#define SEGMENT_SPARE_NAME "spare.tmp" /* being prepared for the next segment */

void segment_name(char name[SEGMENT_NAME_SIZE], uint64_t first_seq);
/*
 * The first sequence numbers of all segments in the folder, ascending; free(). Returns how many, or
 * -errno. Files of other names are no segments.
 */
ssize_t segment_list(int folder_fd, uint64_t **first_seqs);
/* Reads the whole file into `content` (emptied first). 0 or -errno. */
int segment_load(int folder_fd, uint64_t first_seq, struct buf *content);

/* --- scanning --- */

struct segment_write {
    enum rpc_write_op op;
    struct span key;
    struct span value; /* JSON text; empty for a delete */
};

enum segment_file_op { SEGMENT_FILE_PUT, SEGMENT_FILE_DELETE, SEGMENT_FILE_DONE };

struct segment_file {
    enum segment_file_op op;
    struct span name, token; /* not of DONE; unescaped, but not otherwise checked */
    uint64_t number;         /* PUT: size; DONE: changes up to this record are visible */
};

struct segment_timer {
    bool is_put;
    uint64_t id;
    struct span columns; /* of PUT; still escaped */
};

/* A whole, valid turn. Borrowed from the scan until its next step. */
struct segment_turn {
    uint64_t seq;
    uint64_t hlc;
    struct span object_id;
};

struct segment_raw_write { /* still escaped */
    enum rpc_write_op op;
    struct span key;
    struct span value;
};

enum segment_item {
    SEGMENT_TURN,        /* scan->turn is the next one */
    SEGMENT_CONTROL,     /* a header or batch line: scan->control */
    SEGMENT_END,         /* only unused space is left */
    SEGMENT_BAD,         /* problem and problem_at say what is wrong where */
    SEGMENT_UNSUPPORTED, /* written by a newer program: not damaged, not to be touched */
    SEGMENT_NO_MEMORY,
};

struct segment_scan {
    struct span content;
    uint64_t first_seq; /* as in the file's name */
    struct record_seeds seeds;
    size_t pos;        /* end of what is valid so far: of whole turns and control lines */
    uint64_t last_seq; /* of the last turn; before the first one: of the last before the segment */
    uint64_t max_hlc;
    uint64_t boot;
    bool has_header;
    struct segment_turn turn;
    struct record_control control;
    const char *problem; /* static text */
    size_t problem_at;   /* byte offset; >= pos */
    /* private */
    struct segment_raw_write *raw;
    size_t raw_count, raw_cap;
    struct segment_write *writes;
    size_t writes_cap;
    struct segment_file *files; /* of the turn, still escaped */
    size_t file_count, files_cap;
    struct segment_timer *timers; /* of the turn */
    size_t timer_count, timers_cap;
    struct buf text, object_text, file_text;
};

/* `content` is borrowed until segment_scan_free(). */
void segment_scan_init(struct segment_scan *scan, struct span content, uint64_t first_seq);
enum segment_item segment_scan_next(struct segment_scan *scan);
/*
 * The writes of the turn just returned, unescaped; borrowed until the next step. Parts that are no
 * state writes are left out. 0 or -ENOMEM.
 */
int segment_scan_writes(struct segment_scan *scan, const struct segment_write **writes,
                        size_t *count);
/* Its changes of files; borrowed likewise. To be called once for a turn. 0 or -ENOMEM. */
int segment_scan_files(struct segment_scan *scan, const struct segment_file **files, size_t *count);
/* Bytes from scan->pos to the last one that is not a newline: what a cut at pos would drop. */
size_t segment_scan_rest(const struct segment_scan *scan);
void segment_scan_free(struct segment_scan *scan);

/*
 * The greatest durable position that any valid control line from byte `from` on names, lines that
 * got glued to a damaged neighbour included. False when there is none.
 */
bool segment_find_claim(struct span content, uint64_t first_seq, size_t from,
                        struct record_position *claim);

#endif
