// SPDX-License-Identifier: Apache-2.0
/*
 * program - fork and exec of one of our own programs with a socket to it on FD_RPC.
 */
#ifndef SUPERVISOR_PROCESS_PROGRAM_H
#define SUPERVISOR_PROCESS_PROGRAM_H

#include <sys/types.h>

enum program_signals {
    PROGRAM_GETS_SIGNALS,    /* as from the shell */
    PROGRAM_IGNORES_SIGNALS, /* those to the process group are the supervisor's to handle */
    PROGRAM_OUTLIVES_US,     /* the same, and it does not die with us */
};

/*
 * Starts path with argv and `fd`, which stays the caller's, on FD_RPC; its stdin is /dev/null,
 * stdout and stderr are ours, no signal is blocked, and it dies with us
 * unless told otherwise. Sets *pid; 0 or -errno. An
 * exec that fails ends the child with status 127.
 */
int program_run(const char *path, char *const argv[], int fd, enum program_signals signals,
                pid_t *pid);
/*
 * The same, that gets signals, with a new socket: returns our end (non-blocking, close-on-exec), or
 * -errno.
 */
int program_start(const char *path, char *const argv[], pid_t *pid);

#endif
