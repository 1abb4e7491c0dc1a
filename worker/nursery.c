// SPDX-License-Identifier: Apache-2.0
#include "worker/nursery.h"

#include "common/channel.h"
#include "common/log.h"
#include "common/worker_fds.h"
#include "worker/confine.h"
#include "worker/deadline.h"
#include "worker/py_embed.h"
#include "worker/stacks.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NURSERY_PAYLOAD_MAX = 8192, GROUP_PATH_SIZE = 1024 };

/*
 * clone3() alone can put a child into a cgroup v2 at its birth. It wants no signal with
 * CLONE_PARENT: the child has ours, which is SIGCHLD.
 */
static long clone_into(const char *group, uint64_t flags, int *tid_field)
{
    int fd = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    struct clone_args args = {.flags = flags | CLONE_INTO_CGROUP,
                              .child_tid = (uint64_t)(uintptr_t)tid_field,
                              .cgroup = (uint64_t)fd};
    long pid = syscall(SYS_clone3, &args, sizeof(args));
    int saved = errno;
    close(fd);
    errno = saved;
    return pid;
}

static long clone_plain(uint64_t flags, int *tid_field)
{
#ifdef __x86_64__
    return syscall(SYS_clone, (unsigned long)flags | SIGCHLD, NULL, NULL, tid_field, NULL);
#else
    return syscall(SYS_clone, (unsigned long)flags | SIGCHLD, NULL, NULL, NULL, tid_field);
#endif
}

/*
 * Forks a child of our parent: 0 in the child, its pid here, or -errno.
 *
 * The raw system call, because fork() cannot pass CLONE_PARENT. The C library keeps the thread's id
 * in a field of its own which fork() would renew; the kernel does it for us when it is told where
 * that field is, and the kernel knows, for it clears the same field when a thread ends.
 */
static pid_t fork_sibling(const char *group)
{
    int *tid_field = NULL;
    if (prctl(PR_GET_TID_ADDRESS, &tid_field) < 0)
        return -errno;
    uint64_t flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    long pid = *group ? clone_into(group, flags, tid_field) : clone_plain(flags, tid_field);
    return pid < 0 ? -errno : (pid_t)pid;
}

static void answer_spawned(struct channel *c, const struct rpc_spawn *spawn, pid_t pid)
{
    struct rpc_spawned m = {spawn->slot, spawn->generation, (uint32_t)pid};
    size_t frame = channel_begin(c, RPC_SPAWNED, 0);
    rpc_spawned_encode(&c->out, &m);
    channel_end(c, frame, NULL, 0);
}

static void answer_failed(struct channel *c, const struct rpc_spawn *spawn, int err)
{
    struct rpc_spawn_failed m = {spawn->slot, spawn->generation, (uint32_t)-err};
    size_t frame = channel_begin(c, RPC_SPAWN_FAILED, 0);
    rpc_spawn_failed_encode(&c->out, &m);
    channel_end(c, frame, NULL, 0);
}

static pid_t fork_worker(const struct worker_fds *fds, const struct rpc_spawn *m)
{
    static bool joins_itself; /* clone3() is forbidden here, as in some containers */
    pid_t supervisor = getppid();
    char group[GROUP_PATH_SIZE];
    snprintf(group, sizeof(group), "%.*s", (int)m->group.len, m->group.data);
    py_embed_before_fork();
    pid_t pid = fork_sibling(joins_itself ? "" : group);
    if (pid == -ENOSYS) {
        joins_itself = true;
        pid = fork_sibling("");
    }
    if (pid == 0) {
        py_embed_after_fork_child();
        confine(m, joins_itself ? group : "", supervisor);
        worker_main(fds);
    }
    py_embed_after_fork_parent();
    return pid;
}

static void spawn(struct channel *c, const struct frame *f)
{
    struct rpc_spawn m;
    struct worker_fds fds;
    if (f->fd_count != SPAWN_FDS || !rpc_spawn_decode(f->payload, &m))
        die(EXIT_CODE_INTERNAL, "malformed SPAWN");
    /* Borrowed: the channel closes them with the frame here; the worker has its own copies. */
    fds.rpc = c->frame_fds[SPAWN_RPC];
    fds.out = c->frame_fds[SPAWN_OUT];
    fds.err = c->frame_fds[SPAWN_ERR];
    fds.page = c->frame_fds[SPAWN_PAGE];
    fds.answers = c->frame_fds[SPAWN_ANSWERS];
    pid_t pid = fork_worker(&fds, &m);
    if (pid > 0)
        answer_spawned(c, &m, pid);
    else
        answer_failed(c, &m, (int)pid);
}

static void dispatch(struct channel *c)
{
    struct frame f;
    const char *reason;
    int got;
    while ((got = channel_next(c, &f, &reason)) == 1) {
        if (f.type == RPC_SPAWN)
            spawn(c, &f);
        else if (f.type == RPC_EXIT)
            exit(EXIT_CODE_OK);
        else
            die(EXIT_CODE_INTERNAL, "nursery: unexpected %s", rpc_name((uint16_t)f.type));
    }
    if (got == -EPROTO)
        die(EXIT_CODE_INTERNAL, "nursery: %s", reason);
    if (got < 0)
        die(EXIT_CODE_ENVIRONMENT, "nursery: %s", strerror(-got));
}

static void leave_with_supervisor(void)
{
    int type;
    socklen_t size = sizeof(type);
    if (getsockopt(FD_RPC, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
        die(EXIT_CODE_USAGE, "descriptor %d is no stream socket: started by hand?", FD_RPC);
    /* Taken here, so that no descriptor that a SPAWN brings lies there. */
    if (dup3(STDERR_FILENO, FD_STACKS, O_CLOEXEC) < 0)
        die(EXIT_CODE_ENVIRONMENT, "dup3: %s", strerror(errno));
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN); /* a terminal's interrupt is for the supervisor to act on */
    signal(SIGPIPE, SIG_IGN);
}

int nursery_run(const char *venv)
{
    static struct channel channel;
    leave_with_supervisor();
    if (py_embed_start(venv) < 0)
        return EXIT_CODE_ENVIRONMENT;
    deadline_install();
    stacks_install();
    channel_init(&channel, FD_RPC, RPC_FROM_NURSERY, RPC_FROM_SUPERVISOR, NURSERY_PAYLOAD_MAX);
    py_embed_freeze();
    for (;;) {
        int err = channel_flush(&channel);
        if (err)
            return EXIT_CODE_ENVIRONMENT;
        ssize_t n = channel_receive(&channel);
        if (n == 0 || n == -ECONNRESET)
            return EXIT_CODE_OK;
        if (n < 0)
            die(EXIT_CODE_ENVIRONMENT, "nursery: recvmsg: %s", strerror((int)-n));
        dispatch(&channel);
    }
}
