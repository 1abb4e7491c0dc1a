// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/program.h"

#include "common/worker_fds.h"
#include "supervisor/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* After the fork: async-signal-safe calls only, for the supervisor has a second thread. */
static void become(const char *path, char *const argv[], int fd, enum program_signals signals,
                   pid_t parent)
{
    if (signals != PROGRAM_OUTLIVES_US)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0); /* the parent died before prctl */
    signals_unblock(signals != PROGRAM_GETS_SIGNALS);
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0)
        _exit(127);
    if (fd == FD_RPC)
        fcntl(fd, F_SETFD, 0);
    else if (dup2(fd, FD_RPC) < 0)
        _exit(127);
    execv(path, argv);
    _exit(127);
}

int program_run(const char *path, char *const argv[], int fd, enum program_signals signals,
                pid_t *pid)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child == 0)
        become(path, argv, fd, signals, parent);
    *pid = child;
    return 0;
}

int program_start(const char *path, char *const argv[], pid_t *pid)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    fcntl(sockets[0], F_SETFL, O_NONBLOCK);
    int err = program_run(path, argv, sockets[1], PROGRAM_GETS_SIGNALS, pid);
    close(sockets[1]);
    if (!err)
        return sockets[0];
    close(sockets[0]);
    return err;
}
