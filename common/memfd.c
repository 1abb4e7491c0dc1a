// SPDX-License-Identifier: Apache-2.0
#include "common/memfd.h"

#include "common/fd_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALL_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL };

int memfd_new(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? -errno : fd;
}

int memfd_write(int fd, const void *bytes, size_t len)
{
    return fd_io_write(fd, bytes, len);
}

int memfd_seal(int fd)
{
    return fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0 ? -errno : 0;
}

int memfd_of(const char *name, const void *bytes, size_t len)
{
    int fd = memfd_new(name);
    if (fd < 0)
        return fd;
    int err = memfd_write(fd, bytes, len);
    if (!err)
        err = memfd_seal(fd);
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}

int memfd_verify(int fd, uint64_t size)
{
    int seals = fcntl(fd, F_GET_SEALS); /* EINVAL for anything but shared memory */
    struct stat st;
    if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS || fstat(fd, &st) < 0)
        return -EBADMSG;
    return (uint64_t)st.st_size == size ? 0 : -EBADMSG;
}

int memfd_read(int fd, void *dest, size_t size)
{
    ssize_t n = fd_io_read_at(fd, dest, size, 0);
    if (n < 0)
        return (int)n;
    return (size_t)n == size ? 0 : -EBADMSG;
}

void memfd_drop(int fd)
{
    static const struct linger none = {0};
    if (fcntl(fd, F_GET_SEALS) < 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)); /* ENOTSOCK is fine */
    close(fd);
}
