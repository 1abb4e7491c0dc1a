// SPDX-License-Identifier: Apache-2.0
/*
 * commit - the effects of a turn become one record of the journal: state, files, schedules, and for
 * a tick what came of it. Loop thread only.
 */
#ifndef SUPERVISOR_TURN_COMMIT_H
#define SUPERVISOR_TURN_COMMIT_H

#include "supervisor/turn/call.h"

/* What a worker writes is read by others from now on: only whole JSON under keys that are text. */
bool commit_is_sound(struct span writes);
/* Does the turn change anything itself? */
bool commit_writes_any(const struct rpc_turn_done *m);
/* 0, and call->commit_seq where something was committed; or an error, and nothing happened. */
int commit_turn(struct worker *w, struct call *call, const struct rpc_turn_done *m);

#endif
