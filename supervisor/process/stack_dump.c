// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/stack_dump.h"

#include "common/clock.h"
#include "common/stack_marks.h"
#include "supervisor/crashes/crash_stacks.h"
#include "supervisor/objects/object.h"

#include <signal.h>

#define PATIENCE_NS (500 * NS_PER_MS)

static void ask(struct worker *w)
{
    w->dumped_ns = clock_mono_ns();
    throttle_pause(w);
    kill(w->pid, SIGCONT);
    kill(w->pid, STACK_SIGNAL);
}

bool stack_dump_is_over(struct worker *w)
{
    if (w->pid <= 0)
        return true;
    if (w->dumped_ns == 0) {
        ask(w);
        return false;
    }
    worker_read_output(w);
    if (crash_stacks_find(output_tail_text(&w->stderr_tail), w->pid).has_ended)
        return true;
    if (clock_mono_ns() - w->dumped_ns <= PATIENCE_NS)
        return false;
    object_note(w->object, "WARNING",
                "worker %d was asked for its stacks (signal %d) and was silent: it blocks signals "
                "by a system call of its own, or the machine is busy",
                (int)w->pid, STACK_SIGNAL);
    return true;
}
