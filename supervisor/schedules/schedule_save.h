// SPDX-License-Identifier: Apache-2.0
/*
 * schedule_save - keeps data/schedules.tsv up to the journal: the scribe merges the journal's timer
 * lines into it a while after a change (state.checkpoint_max), when the journal takes too much
 * room, and at the end. Until then the journal keeps the records. Loop thread only.
 */
#ifndef SUPERVISOR_SCHEDULES_SCHEDULE_SAVE_H
#define SUPERVISOR_SCHEDULES_SCHEDULE_SAVE_H

#include <stdint.h>

struct schedules;

/* A record with a change of a schedule was accepted. */
void schedule_save_later(struct schedules *all, uint64_t seq);
/* Recovery took changes from the journal, from record `oldest` on; 0: none. */
void schedule_save_found(struct schedules *all, uint64_t oldest);

#endif
