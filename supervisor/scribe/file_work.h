// SPDX-License-Identifier: Apache-2.0
/*
 * file_work - the slow part of an object's files: syncing what was staged, making it visible,
 * removing it, listing. In the scribe, and once at start-up. Blocks on the disk; every action may
 * be repeated, in part or wholly.
 */
#ifndef SUPERVISOR_SCRIBE_FILE_WORK_H
#define SUPERVISOR_SCRIBE_FILE_WORK_H

#include "supervisor/scribe/scribe_rpc.h"

/*
 * 0 or -errno; -EDQUOT and *limit: the object would have more than it may. A change of APPLY whose
 * staged file is not there any more was applied before.
 */
int file_work_run(const char *data_dir, const struct scribe_rpc_files *m,
                  enum scribe_files_limit *limit);
/* The document of scribe_files_list(): a sealed memfd and its size, or -errno. */
int file_work_list(const char *data_dir, struct span object_id, uint64_t *size);

#endif
