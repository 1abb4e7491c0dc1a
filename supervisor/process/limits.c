// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/limits.h"

#include "common/json_text.h"
#include "common/rpc.h"
#include "supervisor/objects/object.h"
#include "supervisor/process/family.h"
#include "supervisor/process/sweeper.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define MIB 1048576ull

enum { OPEN_FILES_LEAST = 16 /* fewer, and Python does not come up */ };

/* --- the numbers --- */

/* 0 is no limit. */
static uint32_t larger(uint64_t fallback, uint32_t own)
{
    return fallback && own > fallback ? own : (uint32_t)fallback;
}

static uint32_t declared(uint64_t fallback, uint32_t own)
{
    return own ? own : (uint32_t)fallback;
}

void limits_choose(struct worker *w)
{
    const struct config *c = &w->station->config;
    const struct endpoint_limits *before = &w->object->endpoint.limits;
    w->family.limits = (struct endpoint_limits){
        .memory_mb = larger(c->memory_mb, before->memory_mb),
        .cpu_seconds = larger(c->cpu_seconds, before->cpu_seconds),
        .open_files = larger(c->open_files, before->open_files),
        .processes = larger(c->processes, before->processes),
    };
    w->family.born_with = w->family.limits;
}

static rlim_t open_files(const struct endpoint_limits *l)
{
    return l->open_files < OPEN_FILES_LEAST ? OPEN_FILES_LEAST : l->open_files;
}

/* RLIMIT_NPROC counts all threads of the user; those of the system are no fewer. */
static uint32_t user_processes(const struct endpoint_limits *l)
{
    struct sysinfo info = {0};
    sysinfo(&info);
    return l->processes + info.procs;
}

/* --- which way --- */

static bool by_group(const struct worker *w, enum cgroup_part part)
{
    return w->family.has_group && cgroup_root_of(families_groups(w->station->families), part);
}

int limits_set_group(struct worker *w)
{
    const struct cgroups *groups = families_groups(w->station->families);
    char name[CGROUP_NAME_SIZE];
    sweeper_group_name(name, w->station->boot, w->ref.generation);
    int err = cgroup_limit_memory(groups, name, w->family.limits.memory_mb * MIB);
    return err ? err : cgroup_limit_processes(groups, name, w->family.limits.processes);
}

void limits_fill(const struct worker *w, struct rpc_spawn *m)
{
    const struct endpoint_limits *l = &w->family.limits;
    m->memory_bytes = by_group(w, CGROUP_MEMORY) ? 0 : l->memory_mb * MIB;
    m->open_files = l->open_files ? (uint32_t)open_files(l) : 0;
    m->processes = l->processes && !by_group(w, CGROUP_PROCESSES) ? user_processes(l) : 0;
}

/* --- once it is loaded --- */

/* From now on the object cannot raise it again. */
static bool set_rlimit(const struct worker *w, int resource, rlim_t value)
{
    struct rlimit limit = {value, value}, old;
    if (prlimit(w->pid, (__rlimit_resource_t)resource, NULL, &old) < 0)
        return errno == ESRCH; /* it is dead, which is heard of */
    if (limit.rlim_max > old.rlim_max)
        limit.rlim_cur = limit.rlim_max = old.rlim_max;
    return prlimit(w->pid, (__rlimit_resource_t)resource, &limit, NULL) == 0 || errno == ESRCH;
}

/* The child set it to what it had then, and this. */
static bool change_data_limit(const struct worker *w)
{
    struct rlimit old;
    uint64_t before = w->family.born_with.memory_mb * MIB, now = w->family.limits.memory_mb * MIB;
    if (now == 0)
        return set_rlimit(w, RLIMIT_DATA, RLIM_INFINITY);
    if (prlimit(w->pid, RLIMIT_DATA, NULL, &old) < 0 || old.rlim_cur == RLIM_INFINITY)
        return true;
    return set_rlimit(w, RLIMIT_DATA, old.rlim_cur - before + now);
}

static bool set_rlimits(const struct worker *w)
{
    const struct endpoint_limits *l = &w->family.limits, *before = &w->family.born_with;
    bool ok = set_rlimit(w, RLIMIT_NOFILE, l->open_files ? open_files(l) : RLIM_INFINITY);
    if (!by_group(w, CGROUP_MEMORY))
        ok = change_data_limit(w) && ok;
    if (!by_group(w, CGROUP_PROCESSES) && l->processes != before->processes)
        ok = set_rlimit(w, RLIMIT_NPROC, l->processes ? user_processes(l) : RLIM_INFINITY) && ok;
    return ok;
}

bool limits_declare(struct worker *w, const struct endpoint_limits *own, char *problem,
                    size_t problem_size)
{
    const struct config *c = &w->station->config;
    w->family.limits = (struct endpoint_limits){
        .memory_mb = declared(c->memory_mb, own->memory_mb),
        .cpu_seconds = declared(c->cpu_seconds, own->cpu_seconds),
        .open_files = declared(c->open_files, own->open_files),
        .processes = declared(c->processes, own->processes),
    };
    int err =
        w->family.has_group && memcmp(&w->family.born_with, &w->family.limits, sizeof(*own)) != 0
            ? limits_set_group(w)
            : 0;
    if (err == -EBUSY)
        snprintf(problem, problem_size, "it uses more than limits.memory_mb = %u once it is loaded",
                 w->family.limits.memory_mb);
    else if (err && err != -ENOENT)
        snprintf(problem, problem_size, "its limits cannot be set: %s", strerror(-err));
    else if (!set_rlimits(w))
        snprintf(problem, problem_size, "its limits cannot be set: %s", strerror(errno));
    else
        return true;
    return false;
}

/* --- what is said --- */

static const char *way(bool group, const char *otherwise)
{
    return group ? "cgroup" : otherwise;
}

static const char *rlimit_of_processes(void)
{
    return geteuid() == 0 ? "none" : "rlimit"; /* it does not bind root */
}

static void put_ways(struct buf *json, const struct station *station, unsigned groups)
{
    json_put_member(json, "memory", way(groups & cgroup_bit(CGROUP_MEMORY), "rlimit"));
    json_put_member(json, "processes",
                    way(groups & cgroup_bit(CGROUP_PROCESSES), rlimit_of_processes()));
    json_put_member(json, "open_files", "rlimit");
    json_put_member(json, "cpu_seconds", way(groups & cgroup_bit(CGROUP_CPU_TIME), "clock"));
    json_put_member(json, "cpu_share", way(groups & cgroup_bit(CGROUP_CPU), "none"));
    json_put_member(json, "throttle", way(groups && throttle_is_possible(station), "none"));
    json_put_member(json, "family", way(groups & cgroup_bit(CGROUP_FAMILY), "mark"));
}

static unsigned parts_in_use(const struct station *station)
{
    const struct cgroups *groups = families_groups(station->families);
    unsigned parts = 0;
    for (size_t i = 0; i < groups->count; i++)
        parts |= groups->roots[i].parts;
    return parts;
}

void limits_status(const struct station *station, struct buf *json)
{
    const char *why_not = families_why_not(station->families);
    json_put_key(json, "limits");
    buf_putc(json, '{');
    put_ways(json, station, parts_in_use(station));
    if (*why_not)
        json_put_member(json, "why_no_cgroup", why_not);
    buf_putc(json, '}');
}

void limits_put(const struct worker *w, struct buf *json)
{
    const struct endpoint_limits *l = &w->family.limits;
    buf_putc(json, '{');
    json_put_number(json, "memory_mb", l->memory_mb);
    json_put_number(json, "cpu_seconds", l->cpu_seconds);
    json_put_number(json, "open_files", l->open_files);
    json_put_number(json, "processes", l->processes);
    json_put_key(json, "in_force");
    buf_putc(json, '{');
    put_ways(json, w->station, w->family.has_group ? parts_in_use(w->station) : 0);
    buf_puts(json, "}}");
}
