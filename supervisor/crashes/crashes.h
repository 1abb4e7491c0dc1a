// SPDX-License-Identifier: Apache-2.0
/*
 * crashes - a report for every worker that died otherwise than it was meant to.
 *
 * The scribe writes it; nobody waits for that. While CRASHES_PENDING_MAX are under way further ones
 * are lost, so a scribe that hangs, or deaths without end, cost no memory; a report that cannot be
 * written is lost too. Both are counted, and said once in a while. Loop thread only.
 */
#ifndef SUPERVISOR_CRASHES_CRASHES_H
#define SUPERVISOR_CRASHES_CRASHES_H

#include "common/buf.h"
#include "supervisor/process/worker.h"

enum { CRASHES_PENDING_MAX = 64 };

struct crashes;

/* NULL when memory is short. */
struct crashes *crashes_new(struct station *station);
/* After the scribe. */
void crashes_free(struct crashes *crashes);

/*
 * The worker was reaped; its last frames and output were read, its calls not yet answered. Gives it
 * a crash_id, unless it ended as it was meant to.
 */
void crashes_report(struct crashes *crashes, struct worker *w, int wait_status);

/* "crashes":{"reported","lost"} */
void crashes_status(const struct crashes *crashes, struct buf *json);
void crashes_metrics(const struct crashes *crashes, struct buf *text);

#endif
