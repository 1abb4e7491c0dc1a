// SPDX-License-Identifier: Apache-2.0
/*
 * outage - that an object has failed, why, and when it is tried again.
 *
 * An outage begins when the worker that served died, or none could be started. In the phase BACKOFF
 * the next attempt waits (backoff.h). Then one worker probes: as long as the outage lasts it gets
 * one turn at a time and no replicas beside it. It is over with the first turn that it answers, or
 * when it has lived for OUTAGE_PROOF_NS; the count of failures, from which the next wait follows,
 * is forgotten only after a stable minute, for a new source, by a restart by hand, or when a worker
 * is put away that nobody needs. Pure but for the clock.
 */
#ifndef SUPERVISOR_OBJECTS_OUTAGE_H
#define SUPERVISOR_OBJECTS_OUTAGE_H

#include "common/buf.h"
#include "supervisor/crashes/crash_id.h"
#include "supervisor/process/backoff.h"

#include <stdbool.h>

#define OUTAGE_PROOF_NS 1000000000ull

enum { OUTAGE_REASON_SIZE = 200 };

struct outage {
    struct backoff backoff;
    bool lasts;
    unsigned memory_deaths; /* in a row, of failures that follow each other */
    uint64_t died_ns;       /* the newest death that was counted; monotonic */
    uint64_t retry_ns;      /* the next attempt; monotonic */
    char reason[OUTAGE_REASON_SIZE];
    char crash_id[CRASH_ID_SIZE]; /* of the newest death; empty: there is no report */
};

/*
 * The worker that served died, after a life of lived_ns, of its limit of memory or not; reason as
 * people read it.
 */
void outage_died(struct outage *outage, uint64_t lived_ns, bool by_memory, const char *reason,
                 const char *crash_id);
/*
 * A worker died after a life of lived_ns, of its limit of memory or not, and others serve: no
 * outage.
 */
void outage_count(struct outage *outage, uint64_t lived_ns, bool by_memory);
/* In a row, the newest less than BACKOFF_STABLE_NS ago. */
unsigned outage_memory_deaths(const struct outage *outage);
/* What runs next is not what died of its memory. */
void outage_forget_memory(struct outage *outage);
/* No worker could be started, or it ended before it served. */
void outage_failed(struct outage *outage, const char *reason, const char *crash_id);
/* Nanoseconds until the next attempt, which is noted. */
uint64_t outage_wait(struct outage *outage);
/* Nanoseconds that are left of it. */
uint64_t outage_left(const struct outage *outage);
/* It works again; what was is remembered. */
void outage_proven(struct outage *outage);
/* What was is forgotten. */
void outage_forget(struct outage *outage);

/* {"reason","crash_id","failures","next_attempt","next_attempt_seconds"} */
void outage_put(struct buf *json, const struct outage *outage);

#endif
