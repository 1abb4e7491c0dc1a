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

static void become(const char *path, char *const argv[], int fd, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0); /* the parent died before prctl */
    signals_unblock();
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

int program_start(const char *path, char *const argv[], pid_t *pid)
{
    int sockets[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    fcntl(sockets[0], F_SETFL, O_NONBLOCK);
    pid_t child = fork();
    if (child < 0) {
        int err = -errno;
        close(sockets[0]);
        close(sockets[1]);
        return err;
    }
    if (child == 0)
        become(path, argv, sockets[1], parent);
    close(sockets[1]);
    *pid = child;
    return sockets[0];
}
