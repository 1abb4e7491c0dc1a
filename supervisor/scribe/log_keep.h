// SPDX-License-Identifier: Apache-2.0
/*
 * log_keep - removes rotated files of logs, those that are too many or too old, a slice at a time.
 * In the scribe.
 *
 * Old is what was rotated long ago, by the name of the file: the times of files that were copied
 * here say nothing. log.tsv itself always stays.
 */
#ifndef SUPERVISOR_SCRIBE_LOG_KEEP_H
#define SUPERVISOR_SCRIBE_LOG_KEEP_H

#include "supervisor/scribe/scribe_rpc.h"

struct log_keep;
/* Files of that object are gone, and so many lines with them. */
typedef void (*log_keep_fn)(void *arg, const struct scribe_rpc_log_removed *removed);

/* Copies what it needs. NULL when memory is short. */
struct log_keep *log_keep_new(const char *data_dir, const struct scribe_rpc_log_keep *ask,
                              log_keep_fn removed, void *arg);
/* Goes on until about that time (monotonic). 1: there is more to do. 0: done. -errno. */
int log_keep_step(struct log_keep *keep, uint64_t until_ns);
/* Files removed so far. */
uint64_t log_keep_files(const struct log_keep *keep);
void log_keep_free(struct log_keep *keep);

#endif
