// SPDX-License-Identifier: Apache-2.0
/*
 * memfd - bytes too large for a frame, in a sealed anonymous file.
 *
 * A sender writes, seals (shrink, grow, write, seal) and passes the descriptor; a receiver accepts
 * only a memfd with all four seals and the size that the frame names, and reads it with pread or
 * sends it with sendfile, never through a mapping.
 */
#ifndef COMMON_MEMFD_H
#define COMMON_MEMFD_H

#include <stddef.h>
#include <stdint.h>

/* A new close-on-exec memfd, or -errno. */
int memfd_new(const char *name);
/* Writes all of it at the current position: 0 or -errno. */
int memfd_write(int fd, const void *bytes, size_t len);
/* 0 or -errno. */
int memfd_seal(int fd);
/* A sealed memfd holding these bytes, or -errno. */
int memfd_of(const char *name, const void *bytes, size_t len);
/* 0 when fd is a fully sealed memfd of exactly `size` bytes, else -EBADMSG. */
int memfd_verify(int fd, uint64_t size);
/* Reads all `size` bytes into dest with pread: 0 or -errno (-EBADMSG when it is shorter). */
int memfd_read(int fd, void *dest, size_t size);
/*
 * Closes what came as a memfd and may be anything. A TCP socket whose sender set SO_LINGER and
 * closed its own would hold its last owner in close() until its peer has read; it is disarmed.
 * That files of some file systems (fuse, NFS) write or ask at their close is left at that.
 */
void memfd_drop(int fd);

#endif
