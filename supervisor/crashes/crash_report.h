// SPDX-License-Identifier: Apache-2.0
/*
 * crash_report - what is known of a worker that died, as JSON.
 *
 * The first line holds what a list shows: who, when, how, what ran. Then source, resources, the
 * calls that it had, its stacks, and the end of its stderr. The last member (the log) and the
 * closing brace are the scribe's. At most about a megabyte.
 */
#ifndef SUPERVISOR_CRASHES_CRASH_REPORT_H
#define SUPERVISOR_CRASHES_CRASH_REPORT_H

#include "common/buf.h"
#include "supervisor/process/worker.h"

/* After its last frames and output were read, before its calls are answered. */
void crash_report_put(struct buf *json, struct worker *w, int wait_status, uint64_t wall_us);

#endif
