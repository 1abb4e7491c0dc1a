// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/family.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/rpc.h"
#include "supervisor/objects/object.h"
#include "supervisor/process/cgroup_find.h"
#include "supervisor/process/limits.h"
#include "supervisor/process/mark.h"
#include "supervisor/process/sweeper.h"
#include "supervisor/station.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROC_TEXT_MAX = 256 * 1024,
    WHY_SIZE = 700,
    EARLIER_STARTS = 8, /* that are looked for by their marks */
    SWEEP_PAUSE_US = 1000,
};
#define SWEEP_NS (5 * NS_PER_S)

struct families {
    struct cgroups groups;
    char why_not[WHY_SIZE];
    uint64_t mark; /* of this start */
    struct sweeper *sweeper;
};

/* --- the groups of the station --- */

/* A file of /proc, whole; "" when it cannot be read. To be freed. */
static char *proc_text(const char *path)
{
    char *text = calloc(1, PROC_TEXT_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 0;
    while (text && fd >= 0 && (n = read(fd, text + len, PROC_TEXT_MAX - 1 - len)) > 0)
        len += (size_t)n;
    if (fd >= 0)
        close(fd);
    if (!text)
        die(EXIT_CODE_ENVIRONMENT, "no memory for %s", path);
    return text;
}

static void find_groups(struct families *f, const struct config *config)
{
    struct cgroups own;
    char name[CGROUP_NAME_SIZE];
    char *mounts = proc_text("/proc/self/mountinfo"), *self = proc_text("/proc/self/cgroup");
    snprintf(name, sizeof(name), "objectd-%08" PRIx64, mark_of_station(config->data_dir, 0) >> 32);
    cgroup_find(&own, mounts, self);
    cgroup_prepare(&f->groups, &own, name, f->why_not, sizeof(f->why_not));
    free(mounts);
    free(self);
}

static void say_what_is_used(const struct families *f)
{
    for (size_t i = 0; i < f->groups.count; i++)
        log_debug("control group v%u: %s", f->groups.roots[i].version, f->groups.roots[i].path);
    if (f->groups.count == 0)
        log_info("no control groups, limits are best effort: %s", f->why_not);
    else if (f->why_not[0])
        log_info("not everything is limited by control groups: %s", f->why_not);
    else
        log_info("each worker gets a control group (v%u)", f->groups.roots[0].version);
}

/* Also of a start that ends before there is a sweeper. Folders in use stay. */
static struct cgroups made;

static void remove_folders(void)
{
    cgroup_remove_roots(&made);
}

struct families *families_new(const struct config *config)
{
    struct families *f = calloc(1, sizeof(*f));
    if (!f)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the families");
    if (config->cgroups == CGROUPS_OFF)
        snprintf(f->why_not, sizeof(f->why_not), "workers.cgroups is off");
    else
        find_groups(f, config);
    made = f->groups;
    atexit(remove_folders);
    if (config->cgroups == CGROUPS_REQUIRE && f->why_not[0])
        die(EXIT_CODE_ENVIRONMENT, "workers.cgroups is \"require\": %s", f->why_not);
    say_what_is_used(f);
    return f;
}

const struct cgroups *families_groups(const struct families *f)
{
    return &f->groups;
}

const char *families_why_not(const struct families *f)
{
    return f->why_not;
}

struct sweeper *families_sweeper(const struct families *f)
{
    return f->sweeper;
}

/* --- what an earlier start left behind --- */

struct sweep {
    struct families *families;
    size_t left;
};

static void end_group(void *arg, const char *name)
{
    struct sweep *s = arg;
    cgroup_kill(&s->families->groups, name);
    s->left += cgroup_remove(&s->families->groups, name) < 0;
}

static size_t end_marked(const struct config *config, uint64_t boot)
{
    size_t count = 0;
    for (uint64_t back = 1; back <= EARLIER_STARTS && back < boot; back++)
        count += mark_kill_station(mark_of_station(config->data_dir, boot - back));
    return count;
}

static void end_leftovers(struct families *f, const struct station *station)
{
    struct sweep s = {.families = f};
    uint64_t until = clock_mono_ns() + SWEEP_NS;
    do {
        s.left = 0;
        cgroup_each(&f->groups, "b", end_group, &s);
        s.left += end_marked(&station->config, station->boot);
        if (s.left)
            usleep(SWEEP_PAUSE_US);
    } while (s.left && clock_mono_ns() < until);
    if (s.left)
        log_warn("%zu processes or groups of an earlier start do not end", s.left);
}

void families_start(struct station *station)
{
    struct families *f = station->families;
    f->mark = mark_of_station(station->config.data_dir, station->boot);
    end_leftovers(f, station);
    f->sweeper = sweeper_new(station, &f->groups, f->mark);
}

void families_free(struct families *f)
{
    if (!f)
        return;
    sweeper_free(f->sweeper);
    free(f);
}

/* --- of one worker --- */

static bool make_group(struct worker *w, const char *name)
{
    const struct cgroups *groups = &w->station->families->groups;
    int err = groups->count ? cgroup_make(groups, name) : -ENOENT;
    if (!err) {
        w->family.has_group = true;
        err = limits_set_group(w);
    }
    if (!err)
        memory_kills_born(w);
    if (!err || groups->count == 0)
        return !err;
    log_warn("no control group for a worker of %s: %s", w->object->id, strerror(-err));
    cgroup_remove(groups, name);
    w->family.has_group = false;
    return false;
}

void family_prepare(struct worker *w, struct rpc_spawn *m, struct buf *folder, struct buf *tasks)
{
    const struct families *f = w->station->families;
    char name[CGROUP_NAME_SIZE];
    sweeper_group_name(name, w->station->boot, w->ref.generation);
    m->mark = mark_of_worker(f->mark, w->ref.generation);
    limits_choose(w);
    if (make_group(w, name))
        cgroup_entries(&f->groups, name, folder, tasks);
    throttle_born(w);
    m->group = (struct span){folder->data ? folder->data : "", folder->len};
    m->tasks = (struct span){tasks->data ? tasks->data : "", tasks->len};
    limits_fill(w, m);
}

void family_kill(struct worker *w)
{
    char name[CGROUP_NAME_SIZE];
    if (w->pid <= 1)
        return;
    throttle_end(w);
    kill(-w->pid, SIGKILL);
    kill(w->pid, SIGKILL); /* it may not have made its process group yet */
    if (!w->family.has_group)
        return;
    sweeper_group_name(name, w->station->boot, w->ref.generation);
    cgroup_kill(&w->station->families->groups, name);
}

void family_bury(struct worker *w, int wait_status)
{
    const struct families *f = w->station->families;
    if (w->blame == WORKER_BLAME_NONE && WIFSIGNALED(wait_status) &&
        WTERMSIG(wait_status) == SIGKILL && memory_kills_last(w))
        w->blame = WORKER_BLAME_MEMORY;
    memory_kills_end(w);
    if (f->sweeper && (w->family.has_group || w->pid))
        sweeper_bury(f->sweeper, w->ref.generation);
}
