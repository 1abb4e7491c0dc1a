// SPDX-License-Identifier: Apache-2.0
#include "supervisor/log/log_files.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int log_files_is_rotated(const struct dirent *entry)
{
    return fnmatch("log-*.tsv", entry->d_name, 0) == 0;
}

int log_files_newest_first(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name);
}

time_t log_files_rotated_at(const char *name)
{
    static const char form[] = "log-dddddddd-dddddd.tsv"; /* strptime alone takes fewer digits */
    struct tm tm = {0};
    if (strlen(name) != sizeof(form) - 1)
        return -1;
    for (size_t i = 0; i < sizeof(form) - 1; i++)
        if (form[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != form[i])
            return -1;
    return strptime(name, "log-%Y%m%d-%H%M%S.tsv", &tm) ? timegm(&tm) : (time_t)-1;
}

static int open_folder(const char *data_dir, const char *object_id)
{
    char path[PATH_MAX];
    if (!*object_id || strchr(object_id, '/') || object_id[0] == '.')
        return -EINVAL;
    int n = snprintf(path, sizeof(path), "%s/logs/%s", data_dir, object_id);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder < 0 ? -errno : folder;
}

int log_files_open(struct log_files *f, const char *data_dir, const char *object_id,
                   const struct log_position *upto)
{
    *f = (struct log_files){.folder = open_folder(data_dir, object_id), .next = -1, .upto = *upto};
    if (f->folder >= 0)
        return 0;
    int err = f->folder == -ENOENT || f->folder == -ENOTDIR ? 0 : f->folder;
    f->folder = -1;
    return err;
}

/* Only now: what was rotated since log.tsv was opened is in it, and is the same file. */
static int list_rotated(struct log_files *f)
{
    if (f->names)
        return 0;
    int count = scandirat(f->folder, ".", &f->names, log_files_is_rotated, log_files_newest_first);
    if (count < 0) {
        f->names = NULL;
        return -errno;
    }
    f->count = count;
    return 0;
}

/* How far the file is wanted; false: not at all. */
static bool limit(struct log_files *f, const struct stat *st, bool is_current, off_t *end)
{
    *end = st->st_size;
    if (!S_ISREG(st->st_mode))
        return false;
    if (!is_current && st->st_dev == f->device && st->st_ino == f->inode)
        return false;
    if (is_current) {
        f->device = st->st_dev;
        f->inode = st->st_ino;
    }
    if (!f->upto.is_set)
        return true;
    if (f->upto.inode == 0)
        return !is_current;
    if (st->st_ino != f->upto.inode)
        return false;
    f->upto.is_set = false; /* all older ones are wanted whole */
    if ((uint64_t)*end > f->upto.size)
        *end = (off_t)f->upto.size;
    return true;
}

static int try_open(struct log_files *f, const char *name, bool is_current, int *fd, off_t *end)
{
    struct stat st;
    *fd = openat(f->folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (*fd < 0)
        return errno == ENOENT || errno == ELOOP ? 0 : -errno;
    int err = fstat(*fd, &st) < 0 ? -errno : 0;
    if (!err && limit(f, &st, is_current, end))
        return 1;
    close(*fd);
    *fd = -1;
    return err;
}

int log_files_next(struct log_files *f, int *fd, off_t *end)
{
    if (f->folder < 0)
        return 0;
    while (f->next < 0 || f->next < f->count) {
        bool is_current = f->next < 0;
        int got = try_open(f, is_current ? LOG_FILES_CURRENT : f->names[f->next]->d_name,
                           is_current, fd, end);
        f->next++;
        int err = got < 0 ? 0 : list_rotated(f);
        if (err && got == 1) {
            close(*fd);
            *fd = -1;
        }
        if (got != 0 || err)
            return err ? err : got;
    }
    return 0;
}

void log_files_close(struct log_files *f)
{
    for (int i = 0; i < f->count; i++)
        free(f->names[i]);
    free(f->names);
    if (f->folder >= 0)
        close(f->folder);
    *f = (struct log_files){.folder = -1};
}
