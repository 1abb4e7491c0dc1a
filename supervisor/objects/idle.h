// SPDX-License-Identifier: Apache-2.0
/*
 * idle - which objects with a worker have nothing to do, and for how long: those that were not
 * called for their idle_timeout leave memory. What it costs depends on the workers, not on the
 * objects of the station.
 */
#ifndef SUPERVISOR_OBJECTS_IDLE_H
#define SUPERVISOR_OBJECTS_IDLE_H

#include <stdint.h>

struct object;
struct station;

/* Starts looking, every second. */
void idle_start(struct station *station);
/* The one that was used longest ago, of those that could leave memory now; NULL: none could. */
struct object *idle_oldest(struct station *station);
/* How many left memory because of their idle_timeout. */
uint64_t idle_ended(void);

#endif
