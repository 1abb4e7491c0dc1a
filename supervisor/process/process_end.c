// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/process_end.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

struct process_end process_end_reap(pid_t pid)
{
    struct process_end end = {0};
    while (wait4(pid, &end.wait_status, 0, &end.usage) < 0 && errno == EINTR)
        ;
    return end;
}

const char *process_end_how(int wait_status)
{
    static char text[64];
    if (WIFSIGNALED(wait_status))
        snprintf(text, sizeof(text), "signal %d (%s)", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)));
    else
        snprintf(text, sizeof(text), "exit status %d", WEXITSTATUS(wait_status));
    return text;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

const char *process_end_text(const struct process_end *end)
{
    static char text[160];
    const struct rusage *used = &end->usage;
    snprintf(text, sizeof(text),
             "%s, after %.2f s of processor time, with at most %.1f MB of memory",
             process_end_how(end->wait_status), seconds(used->ru_utime) + seconds(used->ru_stime),
             (double)used->ru_maxrss / 1024);
    return text;
}
