// SPDX-License-Identifier: Apache-2.0
/*
 * family - a worker and whatever it has started.
 */
#ifndef SUPERVISOR_PROCESS_FAMILY_H
#define SUPERVISOR_PROCESS_FAMILY_H

struct worker;

/*
 * SIGKILL to all of them, at once. May be called again, also while the worker is a zombie; nothing
 * when it was never forked. Does not change the worker's state: that is worker_kill().
 */
void family_kill(struct worker *w);

#endif
