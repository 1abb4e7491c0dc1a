// SPDX-License-Identifier: Apache-2.0
/*
 * stack_marks - the lines of stderr between which a worker dumps its stacks: written by
 * worker/stacks.c, read by supervisor/crashes/crash_stacks.c. Between a mark and its tail stands
 * the pid, for a child that object code has forked writes to the same pipe.
 */
#ifndef COMMON_STACK_MARKS_H
#define COMMON_STACK_MARKS_H

#define STACK_MARK_C      "--- objectd: C stack of process "
#define STACK_MARK_PYTHON "--- objectd: Python stacks of process "
#define STACK_MARK_END    "--- objectd: end of the stacks of process "
#define STACK_MARK_TAIL   " ---\n"

#endif
