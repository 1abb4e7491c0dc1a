// SPDX-License-Identifier: Apache-2.0
/*
 * stacks - dumps the C stack and the stacks of Python's threads to FD_STACKS, the worker's stderr
 * whatever object code does to descriptor 2. On SIGUSR2, and when the process dies of SIGSEGV,
 * SIGBUS, SIGFPE, SIGILL or SIGABRT, which then ends it as if nobody had caught it. The lines in
 * between are those of common/stack_marks.h.
 */
#ifndef WORKER_STACKS_H
#define WORKER_STACKS_H

/* In the nursery, after Python is up; what it forks inherits all of it. */
void stacks_install(void);

#endif
