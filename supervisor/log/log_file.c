// SPDX-License-Identifier: Apache-2.0
#include "supervisor/log/log_file.h"

#include "common/log.h"
#include "supervisor/log/log_line.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME LOG_FILES_CURRENT

enum {
    NAME_ATTEMPTS = 100,
    FUTURE_MAX = 24 * 3600, /* seconds */
    TORN_BLOCK = 4096,
};

int log_file_init(struct log_file *f, const char *data_dir, const char *object_id)
{
    *f = (struct log_file){.fd = -1};
    return asprintf(&f->folder, "%s/logs/%s", data_dir, object_id) < 0 ? -ENOMEM : 0;
}

void log_file_free(struct log_file *f)
{
    log_file_close(f);
    free(f->folder);
    f->folder = NULL;
}

void log_file_close(struct log_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

static int make_folder(const struct log_file *f)
{
    if (mkdir(f->folder, 0700) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT)
        return -errno;
    char parent[PATH_MAX];
    int n = (int)(strrchr(f->folder, '/') - f->folder);
    snprintf(parent, sizeof(parent), "%.*s", n, f->folder);
    if (mkdir(parent, 0700) < 0 && errno != EEXIST)
        return -errno;
    return mkdir(f->folder, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static time_t newest_rotated(int folder)
{
    struct dirent **names;
    time_t newest = 0;
    int count = scandirat(folder, ".", &names, log_files_is_rotated, log_files_newest_first);
    for (int i = 0; i < count; i++) {
        time_t at = log_files_rotated_at(names[i]->d_name);
        if (at > newest)
            newest = at;
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    return newest;
}

/*
 * The name to be: later than all others, some of which may be gone, for the order of the names is
 * that of the lines. Names of a far future (a clock that was wrong) are not gone beyond.
 */
static time_t next_name(struct log_file *f, int folder)
{
    time_t now = time(NULL);
    if (!f->rotated_at)
        f->rotated_at = newest_rotated(folder);
    return f->rotated_at >= now && f->rotated_at < now + FUTURE_MAX ? f->rotated_at + 1 : now;
}

static int rotate(struct log_file *f)
{
    int folder = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = -EEXIST;
    if (folder < 0)
        return -errno;
    time_t at = next_name(f, folder);
    for (int i = 0; i < NAME_ATTEMPTS && err == -EEXIST; i++, at++) {
        char name[64];
        struct tm tm;
        f->rotated_at = at;
        gmtime_r(&at, &tm);
        strftime(name, sizeof(name), "log-%Y%m%d-%H%M%S.tsv", &tm);
        err = renameat2(folder, FILE_NAME, folder, name, RENAME_NOREPLACE) < 0 ? -errno : 0;
    }
    close(folder);
    log_file_close(f);
    return err;
}

static int open_fd(struct log_file *f)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/" FILE_NAME, f->folder);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    do
        f->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    while (f->fd < 0 && errno == EINTR);
    return f->fd < 0 ? -errno : 0;
}

static bool has_our_header(int fd)
{
    char head[sizeof(LOG_LINE_HEADER)];
    return pread(fd, head, sizeof(head), 0) == sizeof(head) &&
           memcmp(head, LOG_LINE_HEADER "\n", sizeof(head)) == 0;
}

static ssize_t write_once(int fd, const char *bytes, size_t len)
{
    ssize_t n;
    do
        n = write(fd, bytes, len);
    while (n < 0 && errno == EINTR);
    return n;
}

static int write_header(struct log_file *f)
{
    static const char header[] = LOG_LINE_HEADER "\n";
    ssize_t n = write_once(f->fd, header, sizeof(header) - 1);
    if (n == sizeof(header) - 1)
        return 0;
    int err = n < 0 ? -errno : -ENOSPC;
    if (n > 0 && ftruncate(f->fd, 0) < 0) /* half a header would make it a file of another kind */
        log_warn("%s/" FILE_NAME ": %m", f->folder);
    return err;
}

/* Takes a line away that a crash or a full disk cut off. Where that fails the next one starts anew.
 */
static void cut_torn(struct log_file *f, off_t size)
{
    char block[TORN_BLOCK];
    off_t start = size;
    const char *newline = NULL;
    while (!newline && start > 0) {
        size_t n = start < (off_t)sizeof(block) ? (size_t)start : sizeof(block);
        start -= (off_t)n;
        if (pread(f->fd, block, n, start) != (ssize_t)n)
            return;
        newline = memrchr(block, '\n', n);
    }
    off_t whole = newline ? start + (newline - block) + 1 : 0;
    f->is_torn = whole < size && ftruncate(f->fd, whole) < 0;
}

/* What the file is: new, ours (perhaps cut off in a line), or of another kind. */
static int adopt(struct log_file *f, bool *is_foreign)
{
    struct stat st;
    if (fstat(f->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size == 0)
        return write_header(f);
    *is_foreign = !has_our_header(f->fd);
    if (!*is_foreign)
        cut_torn(f, st.st_size);
    return 0;
}

static int open_file(struct log_file *f, bool *is_rotated)
{
    int err = make_folder(f);
    for (int attempt = 0; attempt < 2 && !err; attempt++) {
        bool is_foreign = false;
        f->is_torn = false;
        err = open_fd(f);
        if (!err)
            err = adopt(f, &is_foreign);
        if (!err && !is_foreign)
            return 0;
        if (!err)
            err = rotate(f);
        *is_rotated |= err == 0;
    }
    log_file_close(f);
    return err ? err : -EEXIST;
}

static int write_lines(struct log_file *f, const char *lines, size_t len, size_t *written)
{
    if (f->is_torn && write_once(f->fd, "\n", 1) != 1)
        return errno ? -errno : -EIO;
    f->is_torn = false;
    while (*written < len) {
        ssize_t n = write_once(f->fd, lines + *written, len - *written);
        if (n < 0) {
            int err = -errno;
            struct stat st;
            if (fstat(f->fd, &st) == 0)
                cut_torn(f, st.st_size);
            return err;
        }
        *written += (size_t)n;
    }
    return 0;
}

static void close_removed(struct log_file *f, bool *is_another)
{
    struct stat st;
    *is_another = f->fd >= 0 && (fstat(f->fd, &st) < 0 || st.st_nlink == 0);
    if (*is_another)
        log_file_close(f);
}

int log_file_append(struct log_file *f, const char *lines, size_t len, uint64_t file_max,
                    struct log_file_written *w)
{
    struct stat st;
    *w = (struct log_file_written){0};
    close_removed(f, &w->is_another);
    int err = f->fd >= 0 ? 0 : open_file(f, &w->is_rotated);
    if (err)
        return err;
    err = write_lines(f, lines, len, &w->bytes);
    if (!err && fstat(f->fd, &st) == 0 && (uint64_t)st.st_size >= file_max) {
        int failed = rotate(f);
        w->is_rotated |= failed == 0;
        if (failed)
            log_warn("%s/" FILE_NAME " cannot be rotated: %s", f->folder, strerror(-failed));
    }
    return err;
}

int log_file_position(struct log_file *f, struct log_position *position)
{
    struct stat st;
    bool ignored = false;
    *position = (struct log_position){.is_set = true};
    close_removed(f, &ignored);
    int err = f->fd >= 0 ? 0 : open_file(f, &ignored);
    if (!err && fstat(f->fd, &st) < 0)
        err = -errno;
    if (err)
        return err;
    position->inode = st.st_ino;
    position->size = (uint64_t)st.st_size;
    return 0;
}
