// SPDX-License-Identifier: Apache-2.0
/*
 * checkpoint - decides when an object's state is written to its file, and has the scribe do it.
 *
 * An object is due when writes to it have stopped for checkpoint_idle and its file is small or a
 * tenth of it has changed; when it has been dirty for checkpoint_max and is still being written;
 * when it holds back the oldest segments while the closed ones exceed journal_max; when an earlier
 * attempt failed; and at close. Due objects go to the scribe together, one batch at a time.
 *
 * What a batch takes in is frozen first and handed over once it is durable. When the scribe has
 * written it, it is dropped; after a failure it stays frozen, over the old file, and the same
 * checkpoint is tried again later. Segments that no dirty object needs are trimmed. Loop thread.
 */
#ifndef SUPERVISOR_STATE_CHECKPOINT_H
#define SUPERVISOR_STATE_CHECKPOINT_H

#include "supervisor/config.h"
#include "supervisor/loop.h"
#include "supervisor/state/journal.h"
#include "supervisor/state/object_state.h"

struct scribe;
struct checkpoint;

/* scribe may be NULL: then nothing is ever due. NULL when memory is short. */
struct checkpoint *checkpoint_new(struct loop *loop, const struct config *config,
                                  struct scribe *scribe, struct journal *journal);
void checkpoint_free(struct checkpoint *c);
/* Takes the times and sizes of section state. */
void checkpoint_configure(struct checkpoint *c, const struct config *config);

/* A record was put into o->active. */
void checkpoint_wrote(struct checkpoint *c, struct object_state *o);
/* No record from this number on may leave the journal; 0: none is needed. */
void checkpoint_keep_from(struct checkpoint *c, uint64_t seq);
/* More has become durable. */
void checkpoint_durable(struct checkpoint *c);
/*
 * Checkpoints everything dirty that can be, running the loop meanwhile, for at most timeout_ns.
 * Number of objects that stay dirty. Everything must be durable already, and the loop not running.
 */
size_t checkpoint_settle(struct checkpoint *c, uint64_t timeout_ns);

struct checkpoint_counters {
    uint64_t done, failed;
    size_t dirty;
};
const struct checkpoint_counters *checkpoint_counters(const struct checkpoint *c);

#endif
