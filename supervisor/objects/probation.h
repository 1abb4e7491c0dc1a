// SPDX-License-Identifier: Apache-2.0
/*
 * probation - the first minute of a new version, and the way back when it fails.
 *
 * For workers.rollback_window after a deploy the calls of the object are counted. When at least
 * workers.rollback_calls have ended (or its worker has died three times), and at least
 * workers.rollback_errors per cent of them failed (a handler that raised and was answered 5xx, a
 * deadline, a crash), and that is at least twice the share of the time before, the version before
 * comes back: as a new version by "auto-rollback". The object's file is left alone; its content
 * counts as rejected from then on (history.h), so neither the watch nor a restart deploys it again.
 *
 * Where that fails (no room on the disk, the version before does not load now, no worker), it is
 * tried again by the next failure that comes after a delay of 0.25 s, doubled to 60 s, also when
 * the first minute is over; log, status and metadata say why. It is given up when no attempt can
 * end otherwise: the content of the version before is damaged or missing, or this one migrated the
 * state.
 *
 * A version that migrated the state is never rolled back by itself, and what was rolled back to is
 * not on probation. __endpoint__["auto_rollback"] = False or workers.rollback = false turn it off.
 */
#ifndef SUPERVISOR_OBJECTS_PROBATION_H
#define SUPERVISOR_OBJECTS_PROBATION_H

#include "common/buf.h"
#include "supervisor/loop.h"

struct object;

struct probation_tally {
    uint64_t calls, failures;
    unsigned deaths;
};

struct probation {
    struct probation_tally now, last; /* of this span of rollback_window and the one before */
    uint64_t span_ns;                 /* when it began; monotonic */
    uint64_t counted_ns;              /* when the older of the two did */
    struct probation_tally before;    /* of the version before, when this one began to serve */
    uint64_t version;                 /* on probation; 0: none */
    uint64_t since_ns;
    struct loop_timer timer; /* it has failed: soon */
    uint64_t asked;          /* the version whose rollback is under way; 0 */
    unsigned attempts;       /* that failed */
    uint64_t again_ns;       /* none before; monotonic */
    bool is_given_up;
    char *problem;       /* of the last attempt; NULL: none has failed */
    uint64_t problem_us; /* when; wall clock */
    /* the last rollback; 0: none since the station started */
    uint64_t from, to, wall_us;
    char reason[160];
};

/* A version was deployed and serves. */
void probation_begin(struct object *o);
/* A turn has ended. */
void probation_count(struct object *o, bool failed);
/* Its worker has died of itself. */
void probation_died(struct object *o);
void probation_free(struct object *o);

/* "last_rollback": {"from","to","timestamp","reason"}, and "rollback_failed": {"from","attempts",
 * "timestamp","reason","error","given_up"} while a version serves that could not be rolled back. */
void probation_put(const struct object *o, struct buf *json);
/* "rolled_back": what serves took the place of a version that failed; its file may still be there.
 * "rollback_failed": what serves fails, and why it still serves. Puts nothing otherwise, and
 * nothing of rollbacks before the station's start. */
void probation_put_remark(const struct object *o, struct buf *json);
/* Rollbacks since the station started. */
uint64_t probation_rollbacks(void);

#endif
