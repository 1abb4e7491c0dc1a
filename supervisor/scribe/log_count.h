// SPDX-License-Identifier: Apache-2.0
/*
 * log_count - how many lines the log of an object has, a slice at a time. In the scribe.
 */
#ifndef SUPERVISOR_SCRIBE_LOG_COUNT_H
#define SUPERVISOR_SCRIBE_LOG_COUNT_H

#include "supervisor/scribe/scribe_rpc.h"

#include <sys/types.h>

struct log_count;

/* Copies what it needs. NULL when memory is short. */
struct log_count *log_count_new(const char *data_dir, const struct scribe_rpc_log_count *ask);
/* Goes on until about that time (monotonic). 1: there is more to do. 0: done. -errno. */
int log_count_step(struct log_count *count, uint64_t until_ns);
uint64_t log_count_lines(const struct log_count *count);
void log_count_free(struct log_count *count);

/* The lines in [0, end) of one file, its header left out, or -errno; for files of a bounded size.
 */
int64_t log_count_file(int fd, off_t end);

#endif
