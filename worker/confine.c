// SPDX-License-Identifier: Apache-2.0
#include "worker/confine.h"

#include "common/fd_io.h"
#include "common/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define OOM_SCORE "500" /* dies before the supervisor when memory is short */

enum { PATH_SIZE = 1024 };

static void raise_oom_score(void)
{
    int err = fd_io_put("/proc/self/oom_score_adj", OOM_SCORE);
    if (err && err != -ENOENT) /* no /proc: the default has to do */
        log_warn("oom_score_adj: %s", strerror(-err));
}

static void join(const char *path)
{
    int err = fd_io_put(path, "0");
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "cannot join %s: %s", path, strerror(-err));
}

/* A thread may move itself at once; moving a whole process waits for every processor. */
static void join_groups(struct span tasks)
{
    char path[PATH_SIZE];
    while (tasks.len > 0) {
        const char *end = memchr(tasks.data, '\n', tasks.len);
        size_t len = end ? (size_t)(end - tasks.data) : tasks.len;
        snprintf(path, sizeof(path), "%.*s", (int)len, tasks.data);
        join(path);
        len += end != NULL;
        tasks = (struct span){tasks.data + len, tasks.len - len};
    }
}

/* Bytes of writable private memory, as RLIMIT_DATA counts them; 0 when /proc does not say. */
static rlim_t data_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%*u %*u %*u %*u %*u %llu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* The soft limit only: what the object declares once it is loaded may be more. */
static void limit(int resource, rlim_t most)
{
    struct rlimit old;
    if (getrlimit((__rlimit_resource_t)resource, &old) < 0)
        return;
    old.rlim_cur = most < old.rlim_max ? most : old.rlim_max;
    if (setrlimit((__rlimit_resource_t)resource, &old) < 0)
        log_warn("setrlimit: %s", strerror(errno));
}

static void set_limits(const struct rpc_spawn *spawn)
{
    static const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (spawn->mark)
        setrlimit(RLIMIT_RTTIME, &(struct rlimit){spawn->mark, spawn->mark});
    if (spawn->memory_bytes)
        limit(RLIMIT_DATA, data_bytes() + spawn->memory_bytes);
    if (spawn->open_files)
        limit(RLIMIT_NOFILE, spawn->open_files);
    if (spawn->processes)
        limit(RLIMIT_NPROC, spawn->processes);
}

void confine(const struct rpc_spawn *spawn, const char *group, pid_t supervisor)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor)
        _exit(EXIT_CODE_ENVIRONMENT); /* it died before the line above */
    setpgid(0, 0);
    join_groups(spawn->tasks);
    if (*group) {
        char path[PATH_SIZE];
        snprintf(path, sizeof(path), "%s/cgroup.procs", group);
        join(path);
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    signal(SIGINT, SIG_DFL);
    raise_oom_score();
    set_limits(spawn);
}
