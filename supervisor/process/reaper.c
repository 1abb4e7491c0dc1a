// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/reaper.h"

#include "common/log.h"
#include "supervisor/process/family.h"
#include "supervisor/process/nursery.h"
#include "supervisor/process/process_end.h"
#include "supervisor/process/sweeper.h"
#include "supervisor/process/worker.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/station.h"

#include <signal.h>
#include <sys/wait.h>

/* A zombie's pid without reaping it; 0 when there is none. */
static pid_t peek_zombie(void)
{
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return 0;
    return info.si_pid;
}

static void reap_worker(struct worker *w)
{
    family_kill(w); /* what it started dies with it; the zombie still keeps the id */
    struct process_end end = process_end_reap(w->pid);
    worker_exited(w, end.wait_status, &end.usage);
}

static bool is_known(const struct station *station, pid_t pid)
{
    return nursery_has(station->nursery, pid) || pid == scribe_pid(station->scribe) ||
           pid == sweeper_pid(families_sweeper(station->families));
}

/* False when it is no child that we know. */
static bool reap_known(struct station *station, pid_t pid)
{
    struct worker *w = worker_by_pid(station->workers, pid);
    if (w) {
        reap_worker(w);
        return true;
    }
    if (!is_known(station, pid))
        return false;
    struct process_end end = process_end_reap(pid);
    if (nursery_has(station->nursery, pid))
        nursery_exited(station->nursery, pid, &end);
    else if (pid == scribe_pid(station->scribe))
        scribe_reaped(station->scribe, &end);
    else
        sweeper_exited(families_sweeper(station->families), &end);
    return true;
}

static bool is_zombie(pid_t pid)
{
    siginfo_t info = {0};
    return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid;
}

static void reap_if_zombie(struct worker *w, void *arg)
{
    (void)arg;
    if (is_zombie(w->pid))
        reap_worker(w);
}

/* A zombie that nobody knows yet hides the others from peek_zombie(). */
static void reap_behind(struct station *station)
{
    worker_each(station->workers, reap_if_zombie, NULL);
    if (is_zombie(scribe_pid(station->scribe)))
        reap_known(station, scribe_pid(station->scribe));
    if (is_zombie(sweeper_pid(families_sweeper(station->families))))
        reap_known(station, sweeper_pid(families_sweeper(station->families)));
    pid_t nursery;
    while ((nursery = nursery_find(station->nursery, is_zombie)) > 0)
        reap_known(station, nursery);
}

void reaper_run(struct station *station)
{
    pid_t pid;
    while ((pid = peek_zombie()) > 0) {
        if (reap_known(station, pid))
            continue;
        if (nursery_owes_pid(station->nursery)) {
            reap_behind(station);
            return;
        }
        struct process_end end = process_end_reap(pid);
        log_debug("reaped orphan %d: %s", (int)pid, process_end_text(&end));
    }
}
