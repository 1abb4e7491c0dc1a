// SPDX-License-Identifier: Apache-2.0
/*
 * schedules_private - what the files of schedules/ share. Private to schedules/.
 */
#ifndef SUPERVISOR_SCHEDULES_SCHEDULES_PRIVATE_H
#define SUPERVISOR_SCHEDULES_SCHEDULES_PRIVATE_H

#include "supervisor/loop.h"
#include "supervisor/schedules/schedule_heap.h"
#include "supervisor/schedules/schedules.h"

struct schedules {
    struct station *station;
    struct schedule_table table;
    struct schedule_heap heap; /* of those that wait for their time */
    uint64_t last_id;
    int timer_fd;
    struct loop_source *source;
    bool is_started;
    int64_t clock_offset_us; /* of the wall clock to the time since boot, when last looked at */
    size_t running;          /* ticks queued or running */

    uint64_t dirty_from; /* first record that schedules.tsv lacks; 0: none */
    uint64_t dirty_since_ns;
    uint64_t newest;                  /* record with a change of a schedule */
    uint64_t saving_upto, saved_next; /* under way; the first record after that one, 0: none yet */
    bool is_saving;
    struct loop_timer save_timer;

    uint64_t ticks, failed, crashed, late, skipped, saves;
};

/* Waits for its time, if it is to. */
void schedules_arm(struct schedules *all, struct schedule *s);
/* Something may be due, or later than the timer is set to: starts it; or has the timer do so. */
void schedules_look(struct schedules *all);
void schedules_look_later(struct schedules *all);
int64_t schedules_now_us(void);

#endif
