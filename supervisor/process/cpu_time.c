// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/cpu_time.h"

#include "common/clock.h"
#include "supervisor/process/sweeper.h"
#include "supervisor/process/worker.h"
#include "supervisor/station.h"

#include <time.h>
#include <unistd.h>

void cpu_time_init(struct cpu_time *cpu)
{
    cpu->fd = -1;
}

static void open_group(struct worker *w)
{
    const struct cgroups *groups = families_groups(w->station->families);
    char name[CGROUP_NAME_SIZE];
    if (!w->family.has_group)
        return;
    sweeper_group_name(name, w->station->boot, w->ref.generation);
    w->family.cpu.fd = cgroup_cpu_open(groups, name);
}

static uint64_t of_process(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
        return 0;
    return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

static uint64_t total_ns(const struct worker *w)
{
    int fd = w->family.cpu.fd;
    return fd < 0 ? of_process(w->pid) : cgroup_cpu_ns(fd);
}

void cpu_time_begin(struct worker *w, uint64_t turn)
{
    struct cpu_time *cpu = &w->family.cpu;
    if (cpu->fd < 0) /* never within a turn: the two do not count the same */
        open_group(w);
    cpu->turn = turn;
    cpu->before_ns = total_ns(w);
}

uint64_t cpu_time_used(const struct worker *w)
{
    uint64_t now_ns = total_ns(w), before_ns = w->family.cpu.before_ns;
    return now_ns > before_ns ? now_ns - before_ns : 0;
}

void cpu_time_end(struct cpu_time *cpu)
{
    if (cpu->fd >= 0)
        close(cpu->fd);
    cpu->fd = -1;
}
