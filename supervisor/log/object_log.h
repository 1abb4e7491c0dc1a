// SPDX-License-Identifier: Apache-2.0
/*
 * object_log - what happens to and in an object, appended to data/logs/<object>/log.tsv.
 *
 * Lines gather in memory and reach the file after at most 200 ms or 64 KiB. Nothing here blocks on
 * a full disk or fails a caller: lines that find no room are counted and reported in the log itself
 * once there is room, and to the operator once. Rates are limited a second and an object: the INFO
 * lines of turns (the rest is counted in one summary line a second) and, apart from them, what the
 * object logs and prints itself (drops are counted likewise). Text that is not UTF-8 is made so
 * with U+FFFD. Loop thread only.
 */
#ifndef SUPERVISOR_LOG_OBJECT_LOG_H
#define SUPERVISOR_LOG_OBJECT_LOG_H

#include "common/codec.h"
#include "supervisor/config.h"
#include "supervisor/loop.h"

struct object_logs;
struct object_log; /* lives as long as the object_logs it came from */

/* NULL when memory is short. The limits are copied. */
struct object_logs *object_logs_new(struct loop *loop, const struct config *config);
/* Writes what has gathered, then frees all. */
void object_logs_free(struct object_logs *logs);
/* The log of an object, made when missing. NULL when memory is short. */
struct object_log *object_logs_get(struct object_logs *logs, const char *object_id);
/* Writes what has gathered: before a search. */
void object_logs_flush(struct object_logs *logs);
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
 * Captured output: one line of the log a line, a partial one kept until its end comes, at most 64
 * KiB (then cut).
 */
enum object_log_stream { OBJECT_LOG_STDOUT, OBJECT_LOG_STDERR, OBJECT_LOG_STREAMS };
void object_log_output(struct object_log *log, enum object_log_stream stream, const char *bytes,
                       size_t len);
/* The writer of that stream is gone: what it left without a newline is a line too. */
void object_log_output_end(struct object_log *log, enum object_log_stream stream);

/* Lines lost or dropped since the start, all objects, for metrics. */
uint64_t object_logs_lost(const struct object_logs *logs);

#endif
