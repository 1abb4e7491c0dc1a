// SPDX-License-Identifier: Apache-2.0
/*
 * station - what the parts of one running supervisor share: handles, never state of their own.
 *
 * Made by main, given to every part that needs more than one of these. The loop thread only.
 */
#ifndef SUPERVISOR_STATION_H
#define SUPERVISOR_STATION_H

#include "supervisor/config.h"

#include <stdbool.h>
#include <stdint.h>

struct station {
    struct config config;
    uint64_t boot;       /* number of this start */
    uint64_t started_ns; /* monotonic */
    bool ready;          /* objects found, nursery up, listening */
    bool stopping;       /* TERM was seen */

    struct loop *loop;
    struct scribe *scribe;
    struct store *store;
    struct files *files;
    struct schedules *schedules;
    struct object_logs *logs;
    struct families *families;
    struct nursery *nursery;
    struct worker_table *workers;
    struct object_table *objects;
    struct import_table *imports;
    struct file_checks *file_checks;
    struct slots *slots;
    struct tree_watch *watch;
    struct turns *turns;
    struct crashes *crashes;
    struct front *front;
    struct reload *reload;
};

#endif
