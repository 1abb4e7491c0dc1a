// SPDX-License-Identifier: Apache-2.0
/*
 * log_query - the newest lines of an object's log that match. In the scribe.
 *
 * Reads log.tsv from its end, then the rotated files, newest first, until it has enough, a slice at
 * a time: a filter that nothing matches goes through everything, and other jobs must not wait for
 * that. A line that cannot be read as one (too few columns) is left out. Reading ends early at
 * read_max bytes of log and answer_max bytes of answer; the answer then says so, and up to which
 * time it searched, so that the next question can go on from there.
 */
#ifndef SUPERVISOR_SCRIBE_LOG_QUERY_H
#define SUPERVISOR_SCRIBE_LOG_QUERY_H

#include "supervisor/scribe/scribe_rpc.h"

struct log_query;

/* Copies what it needs. NULL when memory is short. */
struct log_query *log_query_new(const char *data_dir, const struct scribe_rpc_search *query);
/* Goes on until about that time (monotonic). 1: there is more to do. 0: done. -errno. */
int log_query_step(struct log_query *query, uint64_t until_ns);
/*
 * {"status":"ok","object_id":…,"logs":[…],"count":n}, newest last, or the events: a sealed memfd
 * for the caller to close and its size, or -errno.
 */
int log_query_answer(const struct log_query *query, uint64_t *size);
/* The lines alone, oldest first, with commas between them. */
void log_query_put(const struct log_query *query, struct buf *out);
void log_query_free(struct log_query *query);

#endif
