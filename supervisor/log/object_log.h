// SPDX-License-Identifier: Apache-2.0
/*
 * object_log - the log of one object: data/logs/<object>/log.tsv, appended to in batches.
 *
 * Lines gather in memory and are written by a loop timer after at most 200 ms, when 64 KiB are
 * there, and by object_logs_flush(). Nothing is synced: a second of lines may go with the machine,
 * none with a worker. Lines above the limits of the configuration are counted, not written, and the
 * count is written as a summary line. A disk that takes no more loses lines, counted and reported
 * once. Loop thread only.
 */
#ifndef SUPERVISOR_LOG_OBJECT_LOG_H
#define SUPERVISOR_LOG_OBJECT_LOG_H

#include "common/codec.h"
#include "supervisor/config.h"
#include "supervisor/loop.h"

struct object_logs; /* all of them */
struct object_log;  /* one object's; lives as long as object_logs */

/* Dies of lack of memory. `boot` is part of the request ids that it makes. */
struct object_logs *object_logs_new(struct loop *loop, const struct config *config, uint64_t boot);
/* Writes out and frees. */
void object_logs_free(struct object_logs *logs);
/* Writes out what is gathered. */
void object_logs_flush(struct object_logs *logs);
/* NULL when memory is short. */
struct object_log *object_logs_get(struct object_logs *logs, const char *object_id);

/*
 * One line that the object (or the station about it) logs. level in upper case; request_id empty:
 * none; fields: a JSON object's text, empty: none. Everything is copied.
 */
void object_log_write(struct object_log *log, struct span level, uint64_t wall_us,
                      struct span message, struct span request_id, uint64_t version,
                      struct span fields);

/* The INFO line of a turn: "GET /objects/hello 200" with the duration among its fields. */
struct object_log_turn {
    struct span method, path;
    unsigned status;
    uint64_t duration_ns;
    struct span request_id; /* of the client; empty: "<station>-<boot hex>-<call id hex>" */
    uint64_t call_id;
    uint64_t version;
};
/* Hot: above turn_lines_per_s it only counts. */
void object_log_turn(struct object_log *log, const struct object_log_turn *turn);

/* Captured output, level "STDOUT" or "STDERR": a log line a line; a partial line waits (64 KiB). */
void object_log_output(struct object_log *log, const char *level, const char *bytes, size_t len);

#endif
