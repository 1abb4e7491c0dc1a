// SPDX-License-Identifier: Apache-2.0
/*
 * state_dump - the state of an object as one JSON document. In the scribe.
 *
 * prefix + {"key":value,…} + suffix, values embedded as they stand; with a key: prefix + its value
 * + suffix.
 */
#ifndef SUPERVISOR_SCRIBE_STATE_DUMP_H
#define SUPERVISOR_SCRIBE_STATE_DUMP_H

#include "supervisor/scribe/scribe_rpc.h"

/*
 * A sealed memfd for the caller to close, its size in *size; or -ENOENT (no such key), -EBADMSG (a
 * damaged checkpoint; logged with file and line), another -errno.
 */
int state_dump(const char *data_dir, const struct scribe_rpc_dump *what, uint64_t *size);

#endif
