// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/family.h"

#include "supervisor/process/worker.h"

#include <signal.h>

void family_kill(struct worker *w)
{
    if (w->pid <= 1)
        return;
    kill(-w->pid, SIGKILL);
    kill(w->pid, SIGKILL); /* it may not have made its process group yet */
}
