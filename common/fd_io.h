// SPDX-License-Identifier: Apache-2.0
/*
 * fd_io - whole pieces from and to blocking descriptors: interrupted and short calls are gone on
 * with. Any process, any thread.
 */
#ifndef COMMON_FD_IO_H
#define COMMON_FD_IO_H

#include <sys/types.h>

/* All of it or -errno; part may be written then. */
int fd_io_write(int fd, const void *bytes, size_t len);
int fd_io_write_at(int fd, const void *bytes, size_t len, off_t offset);
/* Bytes read, fewer than len only at the end of the file; or -errno. */
ssize_t fd_io_read(int fd, void *dest, size_t len);
ssize_t fd_io_read_at(int fd, void *dest, size_t len, off_t offset);
/* Text into a file that is there: settings of the kernel. 0 or -errno. */
int fd_io_put(const char *path, const char *text);

#endif
