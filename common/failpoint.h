// SPDX-License-Identifier: Apache-2.0
/*
 * failpoint - named places where a test build can be made to crash or to fail.
 *
 * FAILPOINT("name") is 0 in a normal build and costs nothing. With -DOBJECTD_FAILPOINTS the
 * environment variable OBJECTD_FAILPOINT lists what shall happen, separated by commas:
 *
 *     name[:n[+]]=crash|eio|enospc
 *
 * On the n-th pass of that point (default: the first; with '+': on every pass from then on) the
 * process dies at once (SIGKILL to itself, nothing is flushed), or FAILPOINT yields -EIO or
 * -ENOSPC. A malformed list ends the process: a fault test that injects nothing must not pass. Any
 * process, any thread.
 */
#ifndef COMMON_FAILPOINT_H
#define COMMON_FAILPOINT_H

#ifdef OBJECTD_FAILPOINTS
#define FAILPOINT(name) failpoint_hit(name)
/* 0, or the -errno that the caller is to act on. */
int failpoint_hit(const char *name);
/* Replaces the list (tests only; no other thread may be inside a failpoint). NULL: none. */
void failpoint_arm(const char *list);
#else
#define FAILPOINT(name) 0
#endif

#endif
