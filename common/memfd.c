// SPDX-License-Identifier: Apache-2.0
#include "common/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
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
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        len -= (size_t)n;
    }
    return 0;
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
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, (char *)dest + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EBADMSG;
        done += (size_t)n;
    }
    return 0;
}
