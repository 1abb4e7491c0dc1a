// SPDX-License-Identifier: Apache-2.0
/*
 * log_filter - which lines of a log somebody wants: levels, a span of time, equal fields. Pure.
 *
 * The same for a search (in the scribe) and for a follower (in the supervisor).
 */
#ifndef SUPERVISOR_LOG_LOG_FILTER_H
#define SUPERVISOR_LOG_LOG_FILTER_H

#include "supervisor/log/log_line.h"

struct log_filter {
    uint32_t levels;    /* set of log_level.h; 0: any */
    uint64_t since_us;  /* wall time, inclusive; 0: none */
    uint64_t until_us;  /* wall time, exclusive; 0: none */
    struct span fields; /* encoded rpc_field: name and value that a line must have; borrowed */
};

/* The time of a line; false when it has none that can be read. */
bool log_filter_time_of(const struct log_line *line, uint64_t *us);
bool log_filter_matches(const struct log_filter *filter, const struct log_line *line);

#endif
