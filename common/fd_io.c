// SPDX-License-Identifier: Apache-2.0
#include "common/fd_io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { NO_OFFSET = -1 /* the descriptor's own position */ };

static ssize_t write_some(int fd, const char *bytes, size_t len, off_t offset)
{
    return offset == NO_OFFSET ? write(fd, bytes, len) : pwrite(fd, bytes, len, offset);
}

static ssize_t read_some(int fd, char *dest, size_t len, off_t offset)
{
    return offset == NO_OFFSET ? read(fd, dest, len) : pread(fd, dest, len, offset);
}

int fd_io_write_at(int fd, const void *bytes, size_t len, off_t offset)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = write_some(fd, at, len, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
        len -= (size_t)n;
        offset += offset == NO_OFFSET ? 0 : n;
    }
    return 0;
}

int fd_io_write(int fd, const void *bytes, size_t len)
{
    return fd_io_write_at(fd, bytes, len, NO_OFFSET);
}

ssize_t fd_io_read_at(int fd, void *dest, size_t len, off_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = read_some(fd, (char *)dest + done, len - done, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
        offset += offset == NO_OFFSET ? 0 : n;
    }
    return (ssize_t)done;
}

ssize_t fd_io_read(int fd, void *dest, size_t len)
{
    return fd_io_read_at(fd, dest, len, NO_OFFSET);
}

int fd_io_put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fd_io_write(fd, text, strlen(text));
    close(fd);
    return err;
}
