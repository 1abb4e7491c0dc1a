// SPDX-License-Identifier: Apache-2.0
/*
 * log_query - the newest lines of an object's log that match, as a JSON document. In the scribe.
 *
 * Reads log.tsv from its end, then the rotated files log-*.tsv, newest first, until it has enough.
 * A line that cannot be read as one (too few columns) is left out.
 */
#ifndef SUPERVISOR_SCRIBE_LOG_QUERY_H
#define SUPERVISOR_SCRIBE_LOG_QUERY_H

#include "supervisor/scribe/scribe_rpc.h"

/*
 * {"status":"ok","object_id":…,"logs":[…],"count":n}, newest last: a sealed memfd for the caller to
 * close and its size, or -errno. An object without a log has no lines.
 */
int log_query(const char *data_dir, const struct scribe_rpc_search *query, uint64_t *size);

#endif
