// SPDX-License-Identifier: Apache-2.0
/*
 * object_log - what happens to and in an object, appended to data/logs/<object>/log.tsv.
 *
 * Lines gather in memory and reach the file after at most 200 ms or 64 KiB. Nothing here blocks on
 * a full disk or fails a caller: lines that find no room are counted and reported in the log itself
 * once there is room, and to the operator once. Rates are limited a second and an object: the INFO
 * lines of turns (the rest is counted in one summary line a second) and, apart from them, what the
 * object logs and prints itself (drops are counted likewise). A message of more than log.line_max
 * bytes is cut, which its end says; fields of more are replaced by their size. Text that is not
 * UTF-8 is made so with U+FFFD. Old files are removed, and lines counted, by the scribe. Loop
 * thread only.
 */
#ifndef SUPERVISOR_LOG_OBJECT_LOG_H
#define SUPERVISOR_LOG_OBJECT_LOG_H

#include "common/codec.h"
#include "supervisor/config.h"
#include "supervisor/log/log_files.h"
#include "supervisor/loop.h"

struct scribe;
struct object_logs;
struct object_log; /* lives as long as the object_logs it came from */

/* NULL when memory is short. The limits are copied. */
struct object_logs *object_logs_new(struct loop *loop, const struct config *config);
/* Takes the rates and limits of section log; what is gathered already stays. */
void object_logs_configure(struct object_logs *logs, const struct config *config);
/* Writes what has gathered, then frees all. */
void object_logs_free(struct object_logs *logs);
/* The log of an object, made when missing. NULL when memory is short. */
struct object_log *object_logs_get(struct object_logs *logs, const char *object_id);
/*
 * From now on the scribe removes rotated files that are too many or too old: now, every hour, and
 * whenever a file is rotated. Detach before the scribe is freed.
 */
void object_logs_attach(struct object_logs *logs, struct scribe *scribe);
void object_logs_detach(struct object_logs *logs);
/* Writes what has gathered. */
void object_logs_flush(struct object_logs *logs);
/* The same for one: before a search. */
void object_log_flush(struct object_log *log);
/* Closes every file, so that the next line opens it by its name (USR1). */
void object_logs_reopen(struct object_logs *logs);

/* A line of the object itself, or about it. Empty spans and version 0 are left out. */
void object_log_write(struct object_log *log, struct span level, uint64_t wall_us,
                      struct span message, struct span request_id, uint64_t version,
                      struct span fields);

struct object_log_turn {
    uint64_t wall_us; /* when it ended */
    struct span method;
    struct span target; /* as received; a long one is cut */
    unsigned status;
    uint64_t duration_us;
    struct span request_id;
    uint64_t version;
};
/* True when object_log_turn() would write a line now. When not, the turn is counted. */
bool object_log_turn_due(struct object_log *log);
/* The INFO line of a turn; over the limit it is counted only. */
void object_log_turn(struct object_log *log, const struct object_log_turn *turn);

/*
 * Captured output: one line of the log a line, a partial one kept until its end comes, at most
 * log.line_max bytes (then cut).
 */
enum object_log_stream {
    OBJECT_LOG_STDOUT,
    OBJECT_LOG_STDERR,
    OBJECT_LOG_TEST_STDOUT, /* of its tests: marked with the field test */
    OBJECT_LOG_TEST_STDERR,
    OBJECT_LOG_STREAMS
};
void object_log_output(struct object_log *log, enum object_log_stream stream, const char *bytes,
                       size_t len);
/* The writer of that stream is gone: what it left without a newline is a line too. */
void object_log_output_end(struct object_log *log, enum object_log_stream stream);

/*
 * Somebody who is told of every line as it is logged: escaped columns as in the file, no newline,
 * borrowed. `end` is called when no more will come (and why); both may unwatch. The struct belongs
 * to the watcher.
 */
struct object_log_watcher {
    void (*line)(void *arg, struct span line);
    void (*end)(void *arg, const char *reason);
    void *arg;
    struct object_log_watcher *prev, *next;
};
void object_log_watch(struct object_log *log, struct object_log_watcher *watcher);
void object_log_unwatch(struct object_log *log, struct object_log_watcher *watcher);
/* Calls every `end` of that log, or of all. */
void object_log_end_watch(struct object_log *log, const char *reason);
void object_logs_end_watch(struct object_logs *logs, const char *reason);
/*
 * The place behind all lines so far: a search up to it and a watcher from now on see each line
 * once. Writes what has gathered. -errno when the file cannot be opened (*position then keeps out
 * what is in it).
 */
int object_log_position(struct object_log *log, struct log_position *position);

/*
 * How many lines the log has, in all its files: fn(arg, 0 or -errno, lines), at once or, the first
 * time after the start, when the scribe has counted. -ENOMEM: it will not be called.
 */
typedef void (*object_log_count_fn)(void *arg, int err, uint64_t lines);
int object_log_count(struct object_log *log, object_log_count_fn fn, void *arg);

/* Since the start, all objects; followers count what they skip. */
struct object_logs_stats {
    uint64_t lines;            /* that reached their file */
    uint64_t turns_summarised; /* turns without a line of their own: beyond the rate */
    uint64_t dropped;          /* lines of objects beyond the rate */
    uint64_t lost;             /* lines that found no room on the disk, or in memory */
    uint64_t skipped;          /* lines that a follower was too slow for */
    uint64_t files_removed;    /* old ones */
    uint64_t watchers;         /* now */
};
struct object_logs_stats *object_logs_stats(struct object_logs *logs);

#endif
