// SPDX-License-Identifier: Apache-2.0
/*
 * stacks - dumps the C stack and the stacks of Python's threads to FD_STACKS, the worker's stderr
 * whatever object code does to descriptor 2. On STACK_SIGNAL, and when the process dies of SIGSEGV,
 * SIGBUS, SIGFPE, SIGILL or SIGABRT, which then ends it as if nobody had caught it. The lines in
 * between are those of common/stack_marks.h.
 *
 * STACK_SIGNAL is answered whatever object code does to signals by way of Python or the C library:
 * sigaction() and its kin refuse it, masks never hold it. Not covered are direct system calls, a mask
 * of raw bits in sa_mask or for sigsuspend() and its kin, pthread_cancel(), whose first call puts the
 * C library's handler there, and faulthandler.unregister(SIGRTMAX), which takes Python's part.
 */
#ifndef WORKER_STACKS_H
#define WORKER_STACKS_H

/* In the nursery, after Python is up; what it forks inherits all of it. */
void stacks_install(void);

#endif
