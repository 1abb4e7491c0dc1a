// SPDX-License-Identifier: Apache-2.0
/*
 * process_end - how a child of the supervisor ended, and what it had used until then. For the
 * station's own processes the line in the log is all that is kept of it; workers have reports
 * (supervisor/crashes/).
 */
#ifndef SUPERVISOR_PROCESS_PROCESS_END_H
#define SUPERVISOR_PROCESS_PROCESS_END_H

#include <sys/resource.h>
#include <sys/types.h>

struct process_end {
    int wait_status;
    struct rusage usage;
};

/* Waits until it has ended. */
struct process_end process_end_reap(pid_t pid);
/* "signal 11 (Segmentation fault)", "exit status 3"; static, until the next call. */
const char *process_end_how(int wait_status);
/* "signal 9 (Killed), after 0.51 s of processor time, with at most 12.3 MB of memory"; the same. */
const char *process_end_text(const struct process_end *end);

#endif
