// SPDX-License-Identifier: Apache-2.0
/*
 * py_state - the worker's copy of its object's state, and `_state_manager`.
 *
 * The copy maps keys to immutable scalars (None, bool, int, float, str), or bytes that hold the
 * JSON text of anything else. What a checkpoint holds comes in as JSON text and becomes a scalar
 * when it is first read (py_state_copy.h). Writes of a turn go to the copy and into an undo log;
 * writes from outside any turn wait in a queue and are applied between turns. All of it with the
 * GIL.
 */
#ifndef WORKER_PY_STATE_H
#define WORKER_PY_STATE_H

#include "worker/reply.h"

struct _object; /* PyObject */

/* Readies the type. 0, or -1 with a Python exception. */
int py_state_init(void);
/* The `_state_manager`; borrowed. */
struct _object *py_state_manager(void);

/*
 * Replaces the copy (main thread, between turns). 0, or -EBADMSG and `error` says what is damaged,
 * or another -errno.
 */
int py_state_load(const struct rpc_state *state, int checkpoint_fd, struct buf *error);

/* Takes over what another worker wrote (main thread, between turns). As py_state_load. */
int py_state_update(struct span writes, struct buf *error);

/* Who may not write, for good or until it is promoted. */
enum state_role { STATE_OWNER, STATE_REPLICA, STATE_STATELESS };
void py_state_set_role(enum state_role role);
/* A stateless object has no replicas to promote: it stays what it is. */
void py_state_promote(void);
/* The turn that begins is of a method that is declared readonly. */
void py_state_set_readonly(bool readonly);

/*
 * Ends the write part of a turn: commit moves its writes into the reply; 0, -EFBIG above the limit,
 * or -1 with an exception (undo then). Undo takes them back.
 */
int py_state_commit(struct reply *reply);
void py_state_undo(void);
/* May the caller, where it is, change the state or the files? 0, or -1 with an exception. */
int py_state_may_write(void);
/* The newest version whose migrate_state() the state has been through; 0: none. */
uint64_t py_state_migrated(void);
/* Bytes of state that one turn may write. */
void py_state_set_limit(uint64_t bytes);

#endif
