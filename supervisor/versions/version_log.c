// SPDX-License-Identifier: Apache-2.0
#include "supervisor/versions/version_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_MAX = 4096 };

/* Finds the header, and where the lines begin. */
static int read_header(struct version_log *l, off_t *entries)
{
    char block[HEADER_MAX];
    ssize_t n = pread(l->fd, block, sizeof(block), 0);
    if (n < 0)
        return -errno;
    const char *newline = n > 0 ? memchr(block, '\n', (size_t)n) : NULL;
    size_t len = newline ? (size_t)(newline - block) : 0;
    *entries = version_columns_parse(&l->columns, (struct span){block, len}) ? (off_t)len + 1 : 0;
    return 0;
}

static int ends_in_newline(const struct version_log *l, bool *ends)
{
    char last = '\n';
    if (l->size > 0 && pread(l->fd, &last, 1, l->size - 1) != 1)
        return errno ? -errno : -EIO;
    *ends = last == '\n';
    return 0;
}

/* Judges a last line without a newline; the next reading begins behind what counts. */
static int judge_end(struct version_log *l, off_t entries)
{
    bool ends;
    char *line;
    size_t len;
    struct version_line v;
    int err = ends_in_newline(l, &ends);
    if (err || ends)
        return err;
    int got = tail_reader_next(&l->tail, &line, &len);
    if (got < 0)
        return got;
    if (got && !l->columns.has_status &&
        version_line_parse(&l->columns, (struct span){line, len}, &v) && v.has_hash) {
        l->lacks_newline = true;
        tail_reader_close(&l->tail);
        tail_reader_open(&l->tail, l->fd, entries, l->size);
        return 0;
    }
    l->whole = got ? l->size - (off_t)len : entries;
    return 0;
}

int version_log_open(struct version_log *l, int dir, int flags)
{
    struct stat st;
    off_t entries = 0;
    *l = (struct version_log){
        .fd = openat(dir, VERSION_FILE, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)};
    if (l->fd < 0)
        return -errno;
    int err = fstat(l->fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
    if (!err)
        err = read_header(l, &entries);
    l->size = l->whole = st.st_size;
    if (!err)
        tail_reader_open(&l->tail, l->fd, entries, l->size);
    if (!err)
        err = judge_end(l, entries);
    if (err)
        version_log_close(l);
    return err;
}

int version_log_next(struct version_log *l, struct version_line *v)
{
    char *line;
    size_t len;
    int got;
    while ((got = tail_reader_next(&l->tail, &line, &len)) == 1)
        if (version_line_parse(&l->columns, (struct span){line, len}, v))
            return 1;
    return got;
}

void version_log_close(struct version_log *l)
{
    tail_reader_close(&l->tail);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

/* --- the folder --- */

/* A new folder counts once the one around it is on the disk. */
static int make_folder(int at, const char *name)
{
    if (mkdirat(at, name, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    return fsync(at) < 0 ? -errno : 0;
}

static int open_below(int at, const char *name, bool make)
{
    int err = make ? make_folder(at, name) : 0;
    if (err)
        return err;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int version_folder_open(const char *data_dir, const char *object_id, bool make)
{
    if (!*object_id || object_id[0] == '.' || strchr(object_id, '/'))
        return -EINVAL;
    int data = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data < 0)
        return -errno;
    int versions = open_below(data, "versions", make);
    close(data);
    if (versions < 0)
        return versions;
    int folder = open_below(versions, object_id, make);
    close(versions);
    return folder;
}

void version_file_name(uint64_t id, char name[VERSION_NAME_SIZE])
{
    snprintf(name, VERSION_NAME_SIZE, "v%llu.txt", (unsigned long long)id);
}

struct source *version_file_read(const char *data_dir, const char *object_id, uint64_t id, int *err)
{
    char folder[PATH_MAX], name[VERSION_NAME_SIZE];
    int n = snprintf(folder, sizeof(folder), "%s/versions/%s", data_dir, object_id);
    version_file_name(id, name);
    *err = -ENAMETOOLONG;
    return n < (int)sizeof(folder) ? source_read(folder, name, SOURCE_SIZE_MAX, err) : NULL;
}
