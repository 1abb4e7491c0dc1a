// SPDX-License-Identifier: Apache-2.0
/*
 * schedule - one function of an object that runs by itself, and the tables of all of them: by what
 * makes one different from another, and by object.
 *
 * Two schedules are the same when object, origin, function and payload are, and for one run also
 * its time. Nothing here decides when something runs. Loop thread only.
 */
#ifndef SUPERVISOR_SCHEDULES_SCHEDULE_H
#define SUPERVISOR_SCHEDULES_SCHEDULE_H

#include "common/seeded_hash.h"
#include "supervisor/schedules/schedule_row.h"

#include <xxhash.h>

struct schedule_tick;

/* What a record under way makes of it; see schedule_change.h. */
struct schedule_proposal {
    bool is_set;
    char *when_text; /* owned; NULL: as it is */
    struct when when;
    enum rpc_misfire misfire;
    int64_t next_us, last_us;
    uint64_t runs, errors, skipped;
    char *status, *suspended; /* owned; NULL: as it is, "": none */
};

struct schedule {
    uint64_t id;
    struct schedule_group *group;
    struct schedule *next, *prev; /* of the group */
    XXH128_hash_t key;
    UT_hash_handle hh;

    char *function;
    char *when_text;
    char *payload;   /* JSON; "": None */
    char *status;    /* of the last run: "ok" or what went wrong; "": none yet */
    char *suspended; /* why it does not run; "": it does */
    struct when when;
    enum rpc_misfire misfire;
    enum schedule_origin origin;
    int64_t next_us; /* since 1970 */
    int64_t last_us; /* when the last run began */
    uint64_t runs, errors, skipped;

    int64_t due_us;             /* next_us, or later: an attempt failed */
    size_t heap_at;             /* place in the heap, from 1; 0: it is not there */
    unsigned attempts;          /* of the tick that is due, whose workers died */
    unsigned waits;             /* it could not begin so often */
    char *delayed;              /* why, the last time; NULL: it was not refused */
    struct schedule_tick *tick; /* queued or running */

    bool is_new, is_doomed, is_dead; /* dead: removed, but for its tick */
    bool is_stale;                   /* not declared any more, as far as is known */
    struct schedule_proposal proposal;
    struct schedule *next_touched;
    bool is_touched;
};

/* All schedules of one object, which need not exist. */
struct schedule_group {
    char *object_id;
    struct schedule *list;
    size_t count;
    UT_hash_handle hh;
};

struct schedule_table {
    struct schedule *by_key;
    struct schedule_group *groups;
    size_t count;
};

/* NULL when there is none; made when missing, NULL when memory is short. */
struct schedule_group *schedule_group_find(const struct schedule_table *t, const char *object_id);
struct schedule_group *schedule_group_get(struct schedule_table *t, const char *object_id);

/* The one that is the same as this row says; NULL. */
struct schedule *schedule_find(const struct schedule_table *t, const char *object_id,
                               const struct schedule_row *row);
/* From a row that schedule_row_read() took. NULL: no memory, or (a row of the disk) it is there. */
struct schedule *schedule_add(struct schedule_table *t, struct schedule_group *group, uint64_t id,
                              const struct schedule_row *row);
/* Out of the tables; freed unless a tick holds it, which frees it then. */
void schedule_remove(struct schedule_table *t, struct schedule *s);
void schedule_free(struct schedule *s);
void schedule_table_free(struct schedule_table *t);
/* Borrowed from the schedule, with what is proposed. */
struct schedule_row schedule_row_of(const struct schedule *s);

#endif
