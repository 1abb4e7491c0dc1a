// SPDX-License-Identifier: Apache-2.0
/*
 * trial - health() and migrate_state() of a candidate: calls that no client waits for, to a worker
 * that does not serve yet, each with a deadline of its own. What they come to goes to
 * objects/candidate.h and objects/handover.h.
 */
#ifndef SUPERVISOR_TURN_TRIAL_H
#define SUPERVISOR_TURN_TRIAL_H

#include "supervisor/turn/turns.h"

/*
 * Has the idle worker run one of the two: RPC_CALL_HEALTH, or RPC_CALL_MIGRATE with the number of
 * the version that served before. 0 or -errno.
 */
int trial_begin(struct worker *w, enum rpc_call_kind kind, uint64_t old_version);

/* For the other files of turn/: is that call one? */
bool trial_is(const struct call *call);
/* When it is to have ended; monotonic. */
uint64_t trial_deadline(const struct call *call);
/* Its answer, checked as any other. The call is freed. */
void trial_answered(struct worker *w, struct call *call, const struct rpc_turn_done *m);
/* Forgets the trial of a worker that has died, if it ran one. */
void trial_dead(struct worker *w);

#endif
