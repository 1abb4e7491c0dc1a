// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "objectd.lock"

/* mkdir -p, each new folder 0700. */
static int make_folders(const char *path)
{
    char part[PATH_MAX];
    if ((size_t)snprintf(part, sizeof(part), "%s", path) >= sizeof(part))
        return -ENAMETOOLONG;
    for (char *c = part + 1;; c++) {
        if (*c != '/' && *c != 0)
            continue;
        char end = *c;
        *c = 0;
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return -errno;
        if (end == 0)
            return 0;
        *c = end;
    }
}

/* Who holds it, as far as the file tells. */
static void name_holder(int fd, const char *path, char *error, size_t size)
{
    char text[32] = "", program[256] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0) {
        snprintf(error, size, "%s is locked by another process", path);
        return;
    }
    char proc[64];
    snprintf(proc, sizeof(proc), "/proc/%ld/comm", pid);
    FILE *comm = fopen(proc, "re");
    if (comm) {
        if (fgets(program, sizeof(program), comm))
            program[strcspn(program, "\n")] = 0;
        fclose(comm);
    }
    snprintf(error, size, "%s is locked: the data folder is in use by process %ld%s%s%s", path, pid,
             program[0] ? " (" : "", program, program[0] ? ")" : "");
}

static int write_pid(int fd)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0)
        return -errno;
    ssize_t n = pwrite(fd, text, (size_t)len, 0);
    if (n < 0)
        return -errno;
    return n == len ? 0 : -ENOSPC;
}

static int lock_file(const char *path, char *error, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        int err = -errno;
        snprintf(error, size, "%s: %s", path, strerror(-err));
        return err;
    }
    int err = 0;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        err = -errno;
        if (err == -EWOULDBLOCK)
            name_holder(fd, path, error, size);
        else
            snprintf(error, size, "%s: %s", path, strerror(-err));
    } else if ((err = write_pid(fd)) < 0) {
        snprintf(error, size, "%s: %s", path, strerror(-err));
    }
    if (err < 0) {
        close(fd);
        return err;
    }
    return fd;
}

int lockfile_take(const char *data_dir, char *error, size_t error_size)
{
    char path[PATH_MAX];
    int err = make_folders(data_dir);
    if (err == 0 && (size_t)snprintf(path, sizeof(path), "%s/" LOCK_NAME, data_dir) >= sizeof(path))
        err = -ENAMETOOLONG;
    if (err < 0) {
        snprintf(error, error_size, "data folder %s: %s", data_dir, strerror(-err));
        return err;
    }
    return lock_file(path, error, error_size);
}

void lockfile_release(int fd)
{
    if (fd >= 0)
        close(fd);
}
