// SPDX-License-Identifier: Apache-2.0
/*
 * stack_dump - asks a worker that is to be killed for its stacks, and waits a moment for them.
 *
 * They come on its stderr (common/stack_marks.h), also where it blocks or ignores signals; see
 * worker/stacks.h for what is not covered.
 */
#ifndef SUPERVISOR_PROCESS_STACK_DUMP_H
#define SUPERVISOR_PROCESS_STACK_DUMP_H

#include "supervisor/process/worker.h"

#define STACK_DUMP_TICK_NS (50 * NS_PER_MS)

/*
 * To be called again every STACK_DUMP_TICK_NS until true: it was asked, and has answered or had
 * half a second; then the object's log says that there are none. One that is stopped is woken
 * first.
 */
bool stack_dump_is_over(struct worker *w);

#endif
