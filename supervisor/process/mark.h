// SPDX-License-Identifier: Apache-2.0
/*
 * mark - a number that a worker and everything it starts carry, whatever they do to their parents,
 * sessions and programs: the limit RLIMIT_RTTIME, which says nothing to processes without a
 * real-time schedule, is inherited by forks and kept by exec, and can be read of any process of the
 * same user. So the family of a worker is found where there are no control groups.
 */
#ifndef SUPERVISOR_PROCESS_MARK_H
#define SUPERVISOR_PROCESS_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a start of the station, and of one of its workers. */
uint64_t mark_of_station(const char *data_dir, uint64_t boot);
uint64_t mark_of_worker(uint64_t station_mark, uint64_t generation);
/* SIGKILL to every process of that start; how many there were. */
size_t mark_kill_station(uint64_t station_mark);
/*
 * SIGKILL to those of that start for whose worker count_of() has a counter, which then says how
 * many there were. One look at /proc, whatever the number of workers.
 */
void mark_kill_workers(uint64_t station_mark, size_t *(*count_of)(void *arg, uint64_t generation),
                       void *arg);

#endif
