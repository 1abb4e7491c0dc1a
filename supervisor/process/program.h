// SPDX-License-Identifier: Apache-2.0
/*
 * program - fork and exec of one of our own programs with a socket to it on FD_RPC.
 */
#ifndef SUPERVISOR_PROCESS_PROGRAM_H
#define SUPERVISOR_PROCESS_PROGRAM_H

#include <sys/types.h>

/*
 * Starts path with argv; its stdin is /dev/null, stdout and stderr are ours, signals are reset and
 * unblocked, and it dies with us. Returns our end of the socket (non-blocking, close-on-exec) and
 * sets *pid, or -errno. An exec that fails ends the child with status 127.
 */
int program_start(const char *path, char *const argv[], pid_t *pid);

#endif
