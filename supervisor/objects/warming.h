// SPDX-License-Identifier: Apache-2.0
/*
 * warming - how many new versions load at a time beside those that serve (limits.candidates_max): a
 * thousand changed files do not fork a thousand workers. The rest wait in the order in which they
 * came. A start that somebody's call waits for is not counted.
 */
#ifndef SUPERVISOR_OBJECTS_WARMING_H
#define SUPERVISOR_OBJECTS_WARMING_H

#include <stdbool.h>

struct object;

struct warming {
    enum { WARMING_NOT, WARMING_WAITS, WARMING_RUNS } stage;
    struct object *next, *prev; /* while it waits */
};

/* True: its candidate may start now. False: candidate_start() is called when its time has come. */
bool warming_enter(struct object *o);
/* It has no candidate, or needs no place any more. */
void warming_leave(struct object *o);

#endif
