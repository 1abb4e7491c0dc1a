// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/object_state.h"

#include "common/log.h"
#include "common/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAMPLE = 64 * 1024 };

int object_state_open_file(const char *data_dir, const char *id)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/state/%s/state.tsv", data_dir, id);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Exact for small files; for others the share of lines in their beginning, extrapolated. */
static uint64_t estimate_lines(int fd, uint64_t size)
{
    static char sample[SAMPLE];
    ssize_t n = pread(fd, sample, sizeof(sample), 0);
    if (n <= 0)
        return 0;
    uint64_t lines = 0;
    for (ssize_t i = 0; i < n; i++)
        lines += sample[i] == '\n';
    return size <= (uint64_t)n ? lines : (uint64_t)((double)lines * (double)size / (double)n);
}

static uint64_t file_size(int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static int read_open_file(struct object_state *o, int fd)
{
    struct state_file file;
    int err = state_file_open(&file, fd);
    if (!err) {
        o->watermark = file.watermark;
        o->file_bytes = file_size(fd);
        uint64_t lines = estimate_lines(fd, o->file_bytes);
        o->keys = lines && !file.is_legacy ? lines - 1 : lines;
    }
    state_file_close(&file);
    return err;
}

int object_state_read_file(struct object_state *o, const char *data_dir)
{
    if (o->file_read || o->file_err)
        return o->file_err;
    int fd = object_state_open_file(data_dir, o->id);
    int err = fd < 0 ? fd : read_open_file(o, fd);
    if (fd >= 0)
        close(fd);
    o->file_read = err == 0 || err == -ENOENT;
    if (o->file_read)
        return 0;
    log_error("%s/state/%s/state.tsv: %s", data_dir, o->id,
              err == -EBADMSG ? "its first line is damaged" : strerror(-err));
    return err;
}

void object_state_resized(struct object_state *o, const char *data_dir, uint64_t keys)
{
    int fd = object_state_open_file(data_dir, o->id);
    o->keys = keys;
    o->file_bytes = fd < 0 ? 0 : file_size(fd);
    if (fd >= 0)
        close(fd);
}
