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

#define MARK_WORKER  0xffffffffffffffffull /* mask: one worker */
#define MARK_STATION 0xffffffff00000000ull /* mask: every worker of one start of a station */

/* Of a start of the station, and of one of its workers. */
uint64_t mark_of_station(const char *data_dir, uint64_t boot);
uint64_t mark_of_worker(uint64_t station_mark, uint64_t generation);
/* SIGKILL to every process whose mark is this under the mask; how many there were. */
size_t mark_kill(uint64_t mark, uint64_t mask);

#endif
