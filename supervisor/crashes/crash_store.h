// SPDX-License-Identifier: Apache-2.0
/*
 * crash_store - writes a crash report and keeps their number bounded. In the scribe.
 *
 * A report is written beside its name and renamed, mode 0600. Then the oldest go: those of its
 * object beyond object_max, and those of the station beyond station_max; a folder without reports
 * goes too. So a disk that is full keeps what it has.
 */
#ifndef SUPERVISOR_CRASHES_CRASH_STORE_H
#define SUPERVISOR_CRASHES_CRASH_STORE_H

#include "supervisor/scribe/scribe_rpc.h"

/* 0 or -errno; *removed: reports that went. */
int crash_store_write(const char *data_dir, const struct scribe_rpc_crash_write *m,
                      uint64_t *removed);
/* data_dir/crashes/<object>; -ENOENT when it is not there, -EINVAL for what is no object's id. */
int crash_store_folder(const char *data_dir, struct span object_id);

#endif
