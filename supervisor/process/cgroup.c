// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/cgroup.h"

#include "common/fd_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_PATH_SIZE = CGROUP_PATH_SIZE + 2 * CGROUP_NAME_SIZE,
    TEXT_SIZE = 4096,
    COUNTS_SIZE = 256,
    PERIOD_US = 100000
};

/* How a version calls things; NULL: it has no such file. */
static const struct version {
    const char *tasks; /* a thread moves itself by writing here; NULL: it is born in the folder */
    const char *memory, *memory_and_swap, *swap, *memory_used;
    const char *oom_events, *oom_together;
    const char *no_limit;
    const char *cpu; /* microseconds in each PERIOD_US, which is what the kernel begins with */
    const char *cpu_used;
    const char *kill;
} versions[] = {
    [1] = {.tasks = "tasks",
           .memory = "memory.limit_in_bytes",
           .memory_and_swap = "memory.memsw.limit_in_bytes",
           .memory_used = "memory.usage_in_bytes",
           .oom_events = "memory.oom_control",
           .no_limit = "-1",
           .cpu = "cpu.cfs_quota_us",
           .cpu_used = "cpuacct.usage"},
    [2] = {.memory = "memory.max",
           .swap = "memory.swap.max",
           .memory_used = "memory.current",
           .oom_events = "memory.events",
           .oom_together = "memory.oom.group",
           .no_limit = "max",
           .cpu = "cpu.max",
           .cpu_used = "cpu.stat",
           .kill = "cgroup.kill"},
};

static const struct version *version_of(const struct cgroup_root *root)
{
    return &versions[root->version];
}

/* --- files of a group --- */

static void path_of(const struct cgroup_root *root, const char *name, const char *file,
                    char path[FILE_PATH_SIZE])
{
    snprintf(path, FILE_PATH_SIZE, "%s/%s%s%s", root->path, name, *file ? "/" : "", file);
}

/* A file that this kernel lacks is no error when it is not needed. */
static int put(const struct cgroup_root *root, const char *name, const char *file, const char *text)
{
    char path[FILE_PATH_SIZE];
    path_of(root, name, file, path);
    return fd_io_put(path, text);
}

static int put_if_there(const struct cgroup_root *root, const char *name, const char *file,
                        const char *text)
{
    int err = file ? put(root, name, file, text) : 0;
    return err == -ENOENT ? 0 : err;
}

static bool get(const struct cgroup_root *root, const char *name, const char *file,
                char text[TEXT_SIZE])
{
    char path[FILE_PATH_SIZE];
    path_of(root, name, file, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : fd_io_read(fd, text, TEXT_SIZE - 1);
    if (fd >= 0)
        close(fd);
    text[len > 0 ? len : 0] = '\0';
    return len >= 0;
}

/* --- groups --- */

const struct cgroup_root *cgroup_root_of(const struct cgroups *groups, enum cgroup_part part)
{
    for (size_t i = 0; i < groups->count; i++)
        if (groups->roots[i].parts & cgroup_bit(part))
            return &groups->roots[i];
    return NULL;
}

static int make_in(const struct cgroup_root *root, const char *name)
{
    char path[FILE_PATH_SIZE];
    path_of(root, name, "", path);
    if (mkdir(path, 0755) == 0)
        return 0;
    /* The sweeper of the start before this one may just have removed the station's folder. */
    if (errno == ENOENT && (mkdir(root->path, 0755) == 0 || errno == EEXIST) &&
        mkdir(path, 0755) == 0)
        return 0;
    return -errno;
}

int cgroup_make(const struct cgroups *groups, const char *name)
{
    for (size_t i = 0; i < groups->count; i++) {
        int err = make_in(&groups->roots[i], name);
        if (err) {
            cgroup_remove(groups, name);
            return err;
        }
    }
    return 0;
}

void cgroup_entries(const struct cgroups *groups, const char *name, struct buf *folder,
                    struct buf *tasks)
{
    for (size_t i = 0; i < groups->count; i++) {
        const struct cgroup_root *root = &groups->roots[i];
        const char *file = version_of(root)->tasks;
        if (file)
            buf_printf(tasks, "%s/%s/%s\n", root->path, name, file);
        else
            buf_printf(folder, "%s/%s", root->path, name);
    }
}

/* v1 wants memory <= memory and swap at any time, whichever of them grows or shrinks. */
static int put_memory(const struct cgroup_root *root, const char *name, const char *text)
{
    const struct version *v = version_of(root);
    int err = put(root, name, v->memory, text);
    int swap_err = put_if_there(root, name, v->memory_and_swap, text);
    if (err == -EINVAL && !swap_err)
        err = put(root, name, v->memory, text);
    return err ? err : swap_err;
}

int cgroup_limit_memory(const struct cgroups *groups, const char *name, uint64_t bytes)
{
    const struct cgroup_root *root = cgroup_root_of(groups, CGROUP_MEMORY);
    char text[TEXT_SIZE];
    if (!root)
        return 0;
    const struct version *v = version_of(root);
    if (bytes && get(root, name, v->memory_used, text) && strtoull(text, NULL, 10) > bytes)
        return -EBUSY; /* v2 would kill at once */
    put_if_there(root, name, v->oom_together, "1");
    put_if_there(root, name, v->swap, bytes ? "0" : v->no_limit);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
    return put_memory(root, name, bytes ? text : v->no_limit);
}

int cgroup_limit_processes(const struct cgroups *groups, const char *name, uint64_t count)
{
    const struct cgroup_root *root = cgroup_root_of(groups, CGROUP_PROCESSES);
    char text[32];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)count);
    return root ? put(root, name, "pids.max", count ? text : "max") : 0;
}

int cgroup_limit_cpu(const struct cgroups *groups, const char *name, uint64_t percent)
{
    const struct cgroup_root *root = cgroup_root_of(groups, CGROUP_CPU);
    char text[32];
    if (!root)
        return 0;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)percent * PERIOD_US / 100);
    return put(root, name, version_of(root)->cpu, percent ? text : version_of(root)->no_limit);
}

int cgroup_idle_cpu(const struct cgroups *groups, const char *name, bool is_idle)
{
    const struct cgroup_root *root = cgroup_root_of(groups, CGROUP_CPU);
    return root ? put_if_there(root, name, "cpu.idle", is_idle ? "1" : "0") : 0;
}

static const char *counts_file(const struct version *v, enum cgroup_part part)
{
    switch (part) {
    case CGROUP_MEMORY:
        return v->oom_events;
    case CGROUP_CPU_TIME:
        return v->cpu_used;
    default:
        return "pids.events";
    }
}

static int open_counts(const struct cgroups *groups, const char *name, enum cgroup_part part)
{
    const struct cgroup_root *root = cgroup_root_of(groups, part);
    char path[FILE_PATH_SIZE];
    if (!root)
        return -ENOENT;
    path_of(root, name, counts_file(version_of(root), part), path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void read_counts(int fd, char text[COUNTS_SIZE])
{
    ssize_t len = pread(fd, text, COUNTS_SIZE - 1, 0);
    text[len > 0 ? len : 0] = '\0';
}

static uint64_t count_of(const char *text, const char *key)
{
    const char *count = strstr(text, key);
    return count ? strtoull(count + strlen(key), NULL, 10) : 0;
}

int cgroup_refused_open(const struct cgroups *groups, const char *name)
{
    return open_counts(groups, name, CGROUP_PROCESSES);
}

uint64_t cgroup_refused(int fd)
{
    char text[COUNTS_SIZE];
    read_counts(fd, text);
    return count_of(text, "max ");
}

int cgroup_oom_kills_open(const struct cgroups *groups, const char *name)
{
    return open_counts(groups, name, CGROUP_MEMORY);
}

uint64_t cgroup_oom_kills(int fd)
{
    char text[COUNTS_SIZE];
    read_counts(fd, text);
    return count_of(text, "oom_kill ");
}

int cgroup_cpu_open(const struct cgroups *groups, const char *name)
{
    return open_counts(groups, name, CGROUP_CPU_TIME);
}

/* v2 has microseconds with a name, v1 nothing but nanoseconds. */
uint64_t cgroup_cpu_ns(int fd)
{
    char text[COUNTS_SIZE];
    read_counts(fd, text);
    uint64_t us = count_of(text, "usage_usec ");
    return us ? us * 1000 : strtoull(text, NULL, 10);
}

/* --- the end --- */

static void kill_each(const struct cgroup_root *root, const char *name)
{
    char path[FILE_PATH_SIZE];
    int pid;
    path_of(root, name, "cgroup.procs", path);
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%d", &pid) == 1)
        if (pid > 1 && pid != getpid())
            kill(pid, SIGKILL);
    if (file)
        fclose(file);
}

void cgroup_kill(const struct cgroups *groups, const char *name)
{
    const struct cgroup_root *family = cgroup_root_of(groups, CGROUP_FAMILY);
    const struct cgroup_root *processes = cgroup_root_of(groups, CGROUP_PROCESSES);
    const char *file = family ? version_of(family)->kill : NULL;
    cgroup_limit_cpu(groups, name, 0); /* to die takes time on a processor */
    cgroup_idle_cpu(groups, name, false);
    if (file && put(family, name, file, "1") == 0)
        return;
    if (processes)
        put(processes, name, "pids.max", "0"); /* nobody is born while we go through the list */
    if (family)
        kill_each(family, name);
}

/* Then the groups that processes in it made: a container that an object started, for one. */
static int remove_folder(const char *path)
{
    if (rmdir(path) == 0 || errno == ENOENT)
        return 0;
    char below[FILE_PATH_SIZE];
    int err = -errno;
    DIR *dir = opendir(path);
    const struct dirent *entry;
    bool is_less = false;
    while (dir && (entry = readdir(dir))) {
        if (entry->d_type != DT_DIR || strspn(entry->d_name, ".") == strlen(entry->d_name))
            continue;
        int len = snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        is_less |= len > 0 && (size_t)len < sizeof(below) && remove_folder(below) == 0;
    }
    if (dir)
        closedir(dir);
    return is_less && rmdir(path) == 0 ? 0 : err;
}

int cgroup_remove(const struct cgroups *groups, const char *name)
{
    char path[FILE_PATH_SIZE];
    int err = 0;
    for (size_t i = 0; i < groups->count; i++) {
        path_of(&groups->roots[i], name, "", path);
        int failed = remove_folder(path);
        err = failed ? failed : err;
    }
    return err;
}

static void each_in(const struct cgroup_root *root, const char *prefix,
                    void (*fn)(void *arg, const char *name), void *arg)
{
    DIR *dir = opendir(root->path);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (entry->d_type == DT_DIR && strlen(entry->d_name) < CGROUP_NAME_SIZE &&
            strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            fn(arg, entry->d_name);
    if (dir)
        closedir(dir);
}

void cgroup_each(const struct cgroups *groups, const char *prefix,
                 void (*fn)(void *arg, const char *name), void *arg)
{
    for (size_t i = 0; i < groups->count; i++)
        each_in(&groups->roots[i], prefix, fn, arg);
}

void cgroup_remove_roots(const struct cgroups *groups)
{
    for (size_t i = 0; i < groups->count; i++)
        rmdir(groups->roots[i].path);
}
