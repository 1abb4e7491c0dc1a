// SPDX-License-Identifier: Apache-2.0
/*
 * stack_marks - the signal that asks a worker for its stacks, and the lines of stderr between which
 * it dumps them: written by worker/stacks.c, read by supervisor/crashes/crash_stacks.c. Between a
 * mark and its tail stands the pid, for a child that object code has forked writes to the same
 * pipe.
 *
 * The signal is the one (32) that glibc keeps for the cancellation of threads: it lets nobody
 * block, ignore or handle it, and what it does with it itself are signals of a process to its own
 * threads.
 */
#ifndef COMMON_STACK_MARKS_H
#define COMMON_STACK_MARKS_H

#include <signal.h>

#define STACK_SIGNAL __SIGRTMIN

#define STACK_MARK_C      "--- objectd: C stack of process "
#define STACK_MARK_PYTHON "--- objectd: Python stacks of process "
#define STACK_MARK_END    "--- objectd: end of the stacks of process "
#define STACK_MARK_TAIL   " ---\n"

#endif
