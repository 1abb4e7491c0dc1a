// SPDX-License-Identifier: Apache-2.0
/*
 * reaper - collects every child that ended: workers, nursery, scribe, and what handlers orphaned
 * (the supervisor is a subreaper).
 *
 * A zombie of unknown pid is left alone while the nursery still owes us the pid of a fork: it may
 * be that worker. (A nursery that keeps it for long is replaced, nursery.h.) Since only this file
 * reaps, a pid in the child table is never a stranger's.
 */
#ifndef SUPERVISOR_PROCESS_REAPER_H
#define SUPERVISOR_PROCESS_REAPER_H

struct station;

/* To be called on SIGCHLD and whenever the nursery has said something. */
void reaper_run(struct station *station);

#endif
