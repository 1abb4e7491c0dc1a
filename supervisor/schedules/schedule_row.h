// SPDX-License-Identifier: Apache-2.0
/*
 * schedule_row - the columns of a schedule as the journal and data/schedules.tsv have them:
 *
 *     function when misfire origin next_run last_run last_status runs errors skipped suspended
 *     payload
 *
 * misfire and origin are words, times ISO 8601 in UTC (empty: never), last_status "ok" or what went
 * wrong, suspended why it does not run (empty: it does), payload JSON (empty: None). Pure.
 */
#ifndef SUPERVISOR_SCHEDULES_SCHEDULE_ROW_H
#define SUPERVISOR_SCHEDULES_SCHEDULE_ROW_H

#include "common/rpc.h"
#include "common/when.h"

enum {
    SCHEDULE_FUNCTION_MAX = 255, /* bytes */
    SCHEDULE_STATUS_MAX = 200,   /* bytes that are kept of what went wrong */
    SCHEDULE_PROBLEM_SIZE = WHEN_PROBLEM_SIZE + 64,
};

enum schedule_origin {
    SCHEDULE_BY_CALL,   /* a turn called _schedule() */
    SCHEDULE_BY_DEPLOY, /* the module declares it */
    SCHEDULE_ORIGINS,
};

struct schedule_row {
    struct span function, when, status, suspended, payload;
    enum rpc_misfire misfire;
    enum schedule_origin origin;
    int64_t next_us, last_us; /* since 1970; 0: never */
    uint64_t runs, errors, skipped;
    struct buf text; /* what the spans of a row that was read point into */
};

/* Appends the columns, escaped, without a newline. */
void schedule_row_put(struct buf *out, const struct schedule_row *row);
/* False and what is wrong with it. schedule_row_free() after true. */
bool schedule_row_read(struct schedule_row *row, struct span columns, char *problem, size_t size);
void schedule_row_free(struct schedule_row *row);
/* A name that a function of a module may have. */
bool schedule_function_valid(struct span name);

const char *schedule_origin_name(enum schedule_origin origin);

#endif
