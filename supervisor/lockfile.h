// SPDX-License-Identifier: Apache-2.0
/*
 * lockfile - data/objectd.lock: at most one supervisor uses a data folder.
 *
 * The lock is flock(2)'s on the open file, so it goes with the process, however that ends; the file
 * itself stays. It holds the pid of its owner as text, for people. The descriptor is close-on-exec:
 * a worker that outlives the supervisor does not keep the folder locked.
 */
#ifndef SUPERVISOR_LOCKFILE_H
#define SUPERVISOR_LOCKFILE_H

#include <stddef.h>

/*
 * Makes the data folder (0700, parents too) where it is missing, and takes the lock. The
 * descriptor, to be kept open for as long as the folder is used; or -EWOULDBLOCK when another
 * process holds it, or another -errno: with one line in `error` that says who or why.
 */
int lockfile_take(const char *data_dir, char *error, size_t error_size);
/* Releases; the descriptor is closed. */
void lockfile_release(int fd);

#endif
