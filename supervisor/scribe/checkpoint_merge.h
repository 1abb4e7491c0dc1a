// SPDX-License-Identifier: Apache-2.0
/*
 * checkpoint_merge - brings state.tsv of some objects up to date from the journal. In the scribe.
 *
 * One pass over the journal serves all objects of a request. Then, for each: old file and newer
 * records are merged into state.tsv.tmp, which is fsynced and renamed over state.tsv, and the
 * folder fsynced (new folders' parents too). A file that is there is always whole; after a failure
 * at any step the old one stands, or the new one without anybody having been told. Tombstones are
 * dropped. An object without newer records keeps its file untouched.
 */
#ifndef SUPERVISOR_SCRIBE_CHECKPOINT_MERGE_H
#define SUPERVISOR_SCRIBE_CHECKPOINT_MERGE_H

#include "supervisor/scribe/scribe.h"

/* Called once for each object; err 0 or -errno (-EBADMSG: damaged file or journal; logged). */
typedef void (*checkpoint_merge_fn)(void *arg, size_t index, int err, uint64_t keys);

void checkpoint_merge(const char *data_dir, const struct scribe_checkpoint *objects, size_t count,
                      checkpoint_merge_fn done, void *arg);

#endif
