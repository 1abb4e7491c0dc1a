// SPDX-License-Identifier: Apache-2.0
#include "supervisor/stop.h"

#include "common/clock.h"
#include "supervisor/http/front.h"
#include "supervisor/log/object_log.h"
#include "supervisor/notify.h"
#include "supervisor/objects/needs.h"
#include "supervisor/objects/object.h"
#include "supervisor/reload.h"
#include "supervisor/rest/early.h"
#include "supervisor/rest/router.h"
#include "supervisor/station.h"
#include "supervisor/turn/turn.h"

#include <signal.h>

#define STOP_CHECK_NS (10 * NS_PER_MS)
#define REST_MIN_NS   (2 * NS_PER_S)

static struct loop_timer timer;
static uint64_t deadline_ns;
static uint64_t rest_end_ns; /* 0: the calls are not over */
static bool hurried;

bool stop_is_hurried(void)
{
    sigset_t pending;
    if (!hurried && sigpending(&pending) == 0)
        hurried = sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
    return hurried;
}

uint64_t stop_time_left(const struct station *station)
{
    uint64_t now = clock_mono_ns(), rest = station->config.stop_timeout_ns;
    if (!rest_end_ns)
        rest_end_ns = now + (rest < REST_MIN_NS ? REST_MIN_NS : rest);
    return stop_is_hurried() || now >= rest_end_ns ? 0 : rest_end_ns - now;
}

static void kill_worker(struct worker *w, void *arg)
{
    (void)arg;
    worker_kill(w, WORKER_BLAME_UNWANTED);
}

static void drain_worker(struct worker *w, void *arg)
{
    (void)arg;
    if (needs_keep(w->object)) /* those that depend on it end first */
        return;
    if (w->blame == WORKER_BLAME_NONE)
        w->blame = WORKER_BLAME_UNWANTED; /* its exit is no crash */
    if (w->trial)                         /* nothing is deployed any more */
        worker_kill(w, WORKER_BLAME_UNWANTED);
    else
        worker_event(w, WORKER_EV_DRAIN);
}

static void warn_of_late(const struct station *station)
{
    size_t unanswered = turn_outstanding(station->turns);
    if (unanswered == 0 && front_is_sending(station->front))
        log_warn("stopping: replies are not read by their clients after workers.stop_timeout");
    else
        log_warn("stopping: %zu calls unanswered after workers.stop_timeout", unanswered);
}

/* Calls first; only then the workers, so that what is queued is still served. */
static void check(void *arg)
{
    struct station *station = arg;
    bool late = clock_mono_ns() >= deadline_ns;
    if (late)
        warn_of_late(station);
    if (late || turn_outstanding(station->turns) == 0)
        worker_each(station->workers, late ? kill_worker : drain_worker, NULL);
    if (late || (turn_outstanding(station->turns) == 0 && worker_count(station->workers) == 0 &&
                 front_open_exchanges(station->front) == 0 && !front_is_sending(station->front)))
        loop_stop(station->loop);
    else
        loop_timer_set(station->loop, &timer, STOP_CHECK_NS, check, station);
}

void stop_begin(struct station *station)
{
    if (station->stopping) {
        log_info("asked to stop again: ending at once");
        hurried = true;
        worker_each(station->workers, kill_worker, NULL);
        loop_stop(station->loop);
        return;
    }
    log_info("stopping");
    notify_stopping();
    station->stopping = true;
    deadline_ns = clock_mono_ns() + station->config.stop_timeout_ns;
    front_stop_accepting(station->front);
    object_logs_end_watch(station->logs, "the station stops");
    reload_stop(station->reload);
    early_release(router_handle, station);
    check(station);
}
