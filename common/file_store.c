// SPDX-License-Identifier: Apache-2.0
#include "common/file_store.h"

#include "common/utf8.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* --- names --- */

const char *file_store_name_problem(struct span name)
{
    if (name.len == 0)
        return "it is empty";
    if (name.len > FILE_STORE_NAME_MAX)
        return "it is longer than 255 bytes";
    if ((name.len == 1 && name.data[0] == '.') ||
        (name.len == 2 && name.data[0] == '.' && name.data[1] == '.'))
        return "it is '.' or '..'";
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c == '/')
            return "it holds a '/'";
        if (c < ' ' || c == 0x7f)
            return "it holds a control character";
    }
    return utf8_valid(name.data, name.len) ? NULL : "it is not UTF-8";
}

bool file_store_token_valid(struct span token)
{
    if (token.len == 0 || token.len > FILE_STORE_TOKEN_MAX)
        return false;
    for (size_t i = 0; i < token.len; i++) {
        char c = token.data[i], lower = (char)(c | 0x20);
        if ((lower < 'a' || lower > 'z') && (c < '0' || c > '9') && c != '-')
            return false;
    }
    return true;
}

/* --- opening --- */

/*
 * Where openat2 is missing (an old kernel, a container's filter): every name here is one path
 * component, so refusing a link says as much.
 */
static int open_component(int folder_fd, const char *name, int flags, mode_t mode)
{
    if (strchr(name, '/') || strcmp(name, "..") == 0)
        return -EXDEV;
    int fd = openat(folder_fd, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    return fd < 0 ? -errno : fd;
}

static int open_beneath(int folder_fd, const char *name, int flags, mode_t mode)
{
    struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC,
                           .mode = mode,
                           .resolve =
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    int fd;
    do
        fd = (int)syscall(SYS_openat2, folder_fd, name, &how, sizeof(how));
    while (fd < 0 && errno == EINTR);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return open_component(folder_fd, name, flags, mode);
    return fd < 0 ? -errno : fd;
}

int file_store_folder(int store_fd, const char *folder, bool create)
{
    int fd = open_beneath(store_fd, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd != -ENOENT || !create)
        return fd;
    if (mkdirat(store_fd, folder, 0700) < 0 && errno != EEXIST)
        return -errno;
    if (fsync(store_fd) < 0)
        return -errno;
    return open_beneath(store_fd, folder, O_RDONLY | O_DIRECTORY, 0);
}

int file_store_open(const char *data_dir, bool create)
{
    int data_fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data_fd < 0)
        return -errno;
    int fd = file_store_folder(data_fd, "files", create);
    close(data_fd);
    int staging = fd >= 0 && create ? file_store_folder(fd, FILE_STORE_STAGING, true) : 0;
    if (staging < 0) {
        close(fd);
        return staging;
    }
    if (fd >= 0 && create)
        close(staging);
    return fd;
}

int file_store_read(int folder_fd, const char *name, struct stat *st)
{
    /* not to wait for the other end of a named pipe that somebody put there */
    int fd = open_beneath(folder_fd, name, O_RDONLY | O_NONBLOCK, 0);
    if (fd == -ELOOP || fd == -ENXIO)
        return -ENOENT;
    if (fd < 0)
        return fd;
    int err = fstat(fd, st) < 0 ? -errno : S_ISREG(st->st_mode) ? 0 : -ENOENT;
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}

int file_store_create(int folder_fd, const char *name)
{
    return open_beneath(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
}

int file_store_stat(int folder_fd, const char *name, struct stat *st)
{
    if (fstatat(folder_fd, name, st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return S_ISREG(st->st_mode) ? 0 : -ENOENT;
}

void file_store_modified(const struct stat *st, char text[FILE_STORE_TIME_SIZE])
{
    struct tm tm;
    gmtime_r(&st->st_mtim.tv_sec, &tm);
    size_t n = strftime(text, FILE_STORE_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, FILE_STORE_TIME_SIZE - n, ".%06ldZ", st->st_mtim.tv_nsec / 1000);
}

/* --- all of them --- */

int file_store_each(int folder_fd, int (*fn)(void *arg, const char *name, const struct stat *st),
                    void *arg)
{
    int own = open_beneath(folder_fd, ".", O_RDONLY | O_DIRECTORY, 0), err = 0;
    DIR *dir = own < 0 ? NULL : fdopendir(own);
    if (!dir) {
        err = own < 0 ? own : -errno;
        if (own >= 0)
            close(own);
        return err;
    }
    struct dirent *entry;
    while (!err && (errno = 0, entry = readdir(dir))) {
        struct stat st;
        if (!file_store_name_problem(span_of(entry->d_name)) &&
            file_store_stat(folder_fd, entry->d_name, &st) == 0)
            err = fn(arg, entry->d_name, &st);
    }
    if (!err && errno)
        err = -errno;
    closedir(dir);
    return err;
}
