// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/sweeper.h"

#include "common/channel.h"
#include "common/clock.h"
#include "supervisor/process/backoff.h"
#include "supervisor/process/program.h"
#include "supervisor/process/worker.h"
#include "supervisor/station.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PAYLOAD_MAX = 64,
    LAST_WAIT_MS = 5000,
    NUMBER_SIZE = 24,
    ROOT_SIZE = CGROUP_PATH_SIZE + 16,
    NUMBERS = 5,
    FIXED_ARGUMENTS = 1 + NUMBERS,
};

struct sweeper {
    struct station *station;
    const struct cgroups *groups;
    uint64_t mark;
    pid_t pid;
    uint64_t born_ns;
    struct channel channel;
    struct loop_source *source;
    struct loop_timer restart;
    struct backoff backoff;
};

static void start(void *arg);

void sweeper_group_name(char name[CGROUP_NAME_SIZE], uint64_t boot, uint64_t generation)
{
    snprintf(name, CGROUP_NAME_SIZE, "b%llu-%llu", (unsigned long long)boot,
             (unsigned long long)generation);
}

static void disconnect(struct sweeper *g)
{
    loop_unwatch(g->source);
    g->source = NULL;
    if (g->channel.fd >= 0)
        shutdown(g->channel.fd, SHUT_WR); /* another process may hold a copy */
    channel_free(&g->channel);
}

static void give_up(struct sweeper *g)
{
    disconnect(g);
    if (g->pid)
        kill(g->pid, SIGKILL);
}

static void flush(struct sweeper *g)
{
    int err = channel_flush(&g->channel);
    if (err == 0 || err == -EAGAIN)
        err = loop_rewatch(g->source, EPOLLIN | (err ? EPOLLOUT : 0u));
    if (err)
        give_up(g);
}

/* It says nothing but its HELLO: anything else is its end. */
static void on_channel(void *arg, uint32_t events)
{
    struct sweeper *g = arg;
    struct frame f;
    const char *reason;
    if (events & ~(uint32_t)EPOLLOUT) {
        ssize_t got = channel_receive(&g->channel);
        if (got != -EAGAIN && (got <= 0 || channel_next(&g->channel, &f, &reason) != 0)) {
            give_up(g);
            return;
        }
    }
    flush(g);
}

static void start_again_later(struct sweeper *g)
{
    loop_timer_set(g->station->loop, &g->restart,
                   backoff_delay(&g->backoff, clock_mono_ns(), backoff_jitter()), start, g);
}

static int run(struct sweeper *g, int fd)
{
    char numbers[NUMBERS][NUMBER_SIZE], roots[CGROUP_ROOTS_MAX][ROOT_SIZE];
    char *argv[FIXED_ARGUMENTS + CGROUP_ROOTS_MAX + 1] = {SWEEPER_PROGRAM_NAME};
    const uint64_t values[NUMBERS] = {g->station->config.log_format, g->station->config.log_level,
                                      g->station->boot, g->mark, (uint64_t)getpid()};
    for (size_t i = 0; i < NUMBERS; i++) {
        snprintf(numbers[i], NUMBER_SIZE, "%llu", (unsigned long long)values[i]);
        argv[1 + i] = numbers[i];
    }
    for (size_t i = 0; i < g->groups->count; i++) {
        const struct cgroup_root *root = &g->groups->roots[i];
        snprintf(roots[i], ROOT_SIZE, "%u:%u:%s", root->version, root->parts, root->path);
        argv[FIXED_ARGUMENTS + i] = roots[i];
    }
    return program_run("/proc/self/exe", argv, fd, PROGRAM_OUTLIVES_US, &g->pid);
}

static int start_process(struct sweeper *g)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    fcntl(sockets[0], F_SETFL, O_NONBLOCK);
    int err = run(g, sockets[1]);
    close(sockets[1]);
    if (err) {
        close(sockets[0]);
        return err;
    }
    channel_init(&g->channel, sockets[0], RPC_FROM_SUPERVISOR, RPC_FROM_SWEEPER, PAYLOAD_MAX);
    g->source = loop_watch(g->station->loop, sockets[0], EPOLLIN, on_channel, g);
    if (!g->source) {
        err = -errno;
        give_up(g);
    }
    return err;
}

static void start(void *arg)
{
    struct sweeper *g = arg;
    g->born_ns = clock_mono_ns();
    int err = start_process(g);
    if (!err) {
        flush(g);
        return;
    }
    log_error("cannot start " SWEEPER_PROGRAM_NAME ": %s", strerror(-err));
    backoff_failed(&g->backoff, clock_mono_ns());
    if (!g->pid)
        start_again_later(g);
}

struct sweeper *sweeper_new(struct station *station, const struct cgroups *groups, uint64_t mark)
{
    struct sweeper *g = calloc(1, sizeof(*g));
    if (!g)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the sweeper");
    g->station = station;
    g->groups = groups;
    g->mark = mark;
    g->channel.fd = -1;
    start(g);
    return g;
}

void sweeper_bury(struct sweeper *g, uint64_t generation)
{
    if (!g->source)
        return;
    size_t frame = channel_begin(&g->channel, RPC_BURY, 0);
    rpc_bury_encode(&g->channel.out, &(struct rpc_bury){generation});
    if (channel_end(&g->channel, frame, NULL, 0) < 0)
        give_up(g);
    else
        flush(g);
}

pid_t sweeper_pid(const struct sweeper *g)
{
    return g ? g->pid : 0;
}

void sweeper_exited(struct sweeper *g, const struct process_end *end)
{
    log_warn(SWEEPER_PROGRAM_NAME " died (%s); starting another", process_end_text(end));
    g->pid = 0;
    disconnect(g);
    backoff_died(&g->backoff, clock_mono_ns(), clock_mono_ns() - g->born_ns);
    start_again_later(g);
}

/* It may be stopped, or what it ends may not die: the next start looks again. */
static void wait_for_end(pid_t pid)
{
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    if (end.fd < 0)
        return;
    if (poll(&end, 1, LAST_WAIT_MS) == 1)
        waitpid(pid, NULL, 0);
    else
        log_warn(SWEEPER_PROGRAM_NAME " does not end: something of the workers may still run");
    close(end.fd);
}

void sweeper_free(struct sweeper *g)
{
    if (!g)
        return;
    loop_timer_cancel(&g->restart);
    disconnect(g);
    if (g->pid)
        wait_for_end(g->pid);
    free(g);
}
