// SPDX-License-Identifier: Apache-2.0
/*
 * object_log_private - what the files of object_log share.
 */
#ifndef SUPERVISOR_LOG_OBJECT_LOG_PRIVATE_H
#define SUPERVISOR_LOG_OBJECT_LOG_PRIVATE_H

#include "common/seeded_hash.h"
#include "supervisor/log/log_file.h"
#include "supervisor/log/object_log.h"

/* So many lines a second; those beyond are counted. */
struct log_rate {
    uint64_t lines;
    uint64_t beyond;
};

/* An unfinished line of output. */
struct log_partial {
    struct buf text; /* at most line_max bytes */
    uint64_t beyond; /* bytes that were too many */
};

struct log_count_waiter {
    object_log_count_fn fn;
    void *arg;
    struct log_count_waiter *next;
};

/* How many lines the files hold: counted once by the scribe, then kept up. */
struct log_tally {
    bool is_known, is_counting;
    bool is_stale;  /* what is being counted changed meanwhile */
    uint64_t lines; /* known: in the files; counting: added since it began */
    struct log_count_waiter *waiters;
};

struct object_log {
    UT_hash_handle hh;
    struct object_logs *logs;
    struct log_file file;
    struct buf pending;
    uint64_t pending_lines;
    uint64_t newest_us; /* of the newest line */
    uint64_t second;    /* that the rates are of */
    struct log_rate turns, own;
    uint64_t lost;   /* lines since the last that got to the file */
    bool is_failing; /* the operator knows, at least of another object */
    struct log_partial partial[OBJECT_LOG_STREAMS];
    struct log_tally tally;
    struct object_log_watcher *watchers;
    bool is_dirty;                    /* in the list of those */
    struct object_log *prev, *next;   /* dirty ones */
    struct object_log *newer, *older; /* open ones */
    char object_id[];
};

struct object_logs {
    struct loop *loop;
    struct scribe *scribe; /* NULL: nothing is tidied or counted */
    struct loop_timer flush, keep;
    char *data_dir;
    uint64_t turn_lines_per_s, object_lines_per_s;
    uint64_t line_max, file_max;      /* bytes */
    uint64_t files_max, keep_seconds; /* of rotated files */
    struct object_log *by_id;
    struct object_log *dirty;
    struct object_log *open; /* most recently used first */
    unsigned open_count;
    struct object_logs_stats stats;
    uint64_t complained_ns; /* when the operator was last told of a failure */
};

/* object_log.c: a line of the object itself, if the rate allows it. */
void object_log_put_own(struct object_log *log, struct span level, uint64_t wall_us,
                        struct span message, struct span request_id, uint64_t version,
                        struct span fields, uint64_t cut_bytes);
/* object_log_tally.c: `lines` got to the file; it was rotated; it is another than before. */
void object_log_tally_add(struct object_log *log, uint64_t lines);
void object_log_tally_rotated(struct object_log *log);
void object_log_tally_forget(struct object_log *log);
/* Nobody will be told any more. */
void object_log_tally_free(struct object_log *log);

#endif
