// SPDX-License-Identifier: Apache-2.0
/*
 * short_writes - preloaded by a test: every write to a file on a disk takes only part of what it is
 * given, and every third is interrupted first. Both are what the kernel may do at any time. A
 * control group's file takes a write whole or not at all.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

static __thread unsigned calls;

static int regular(int fd)
{
    struct stat st;
    struct statfs fs;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fstatfs(fd, &fs) == 0 &&
           fs.f_type != CGROUP_SUPER_MAGIC && fs.f_type != CGROUP2_SUPER_MAGIC;
}

static int interrupted(void)
{
    if (++calls % 3 != 0)
        return 0;
    errno = EINTR;
    return 1;
}

static size_t part(size_t len)
{
    return len > 7 ? 1 + len / 3 : len;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    ssize_t (*real)(int, const void *, size_t) =
        (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (!regular(fd) || fd == STDERR_FILENO)
        return real(fd, bytes, len);
    return interrupted() ? -1 : real(fd, bytes, part(len));
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t) =
        (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    if (!regular(fd))
        return real(fd, bytes, len, at);
    return interrupted() ? -1 : real(fd, bytes, part(len), at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
    return pwrite(fd, bytes, len, at);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    ssize_t (*real)(int, const struct iovec *, int) =
        (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    if (!regular(fd) || count < 1)
        return real(fd, iov, count);
    struct iovec first = {iov[0].iov_base, part(iov[0].iov_len)};
    return interrupted() ? -1 : real(fd, &first, 1);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    ssize_t (*real)(int, const struct iovec *, int, off_t) =
        (ssize_t(*)(int, const struct iovec *, int, off_t))dlsym(RTLD_NEXT, "pwritev");
    if (!regular(fd) || count < 1)
        return real(fd, iov, count, at);
    struct iovec first = {iov[0].iov_base, part(iov[0].iov_len)};
    return interrupted() ? -1 : real(fd, &first, 1, at);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off_t at)
{
    return pwritev(fd, iov, count, at);
}
