// SPDX-License-Identifier: Apache-2.0
/*
 * worker_output - what a worker prints: its stdout and stderr pipes, into the log of its object. No
 * more than log.output_max a second is read, so that one that floods takes little of the loop's
 * time; the pipes are full then, and it waits. Of one that is throttled a tenth.
 */
#ifndef SUPERVISOR_PROCESS_WORKER_OUTPUT_H
#define SUPERVISOR_PROCESS_WORKER_OUTPUT_H

struct worker;

/* Watches both pipes: 0 or -errno. */
int worker_output_watch(struct worker *w);
void worker_output_close(struct worker *w);

#endif
