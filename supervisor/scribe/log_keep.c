// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/log_keep.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/log/log_files.h"
#include "supervisor/scribe/log_count.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct log_keep {
    char *folder;    /* data/logs */
    char *object_id; /* "": all of them */
    uint64_t files, seconds;
    log_keep_fn removed;
    void *arg;
    DIR *objects; /* of all: where it is */
    bool is_started;
    uint64_t count;
};

struct log_keep *log_keep_new(const char *data_dir, const struct scribe_rpc_log_keep *ask,
                              log_keep_fn removed, void *arg)
{
    struct log_keep *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    *k = (struct log_keep){
        .files = ask->files, .seconds = ask->seconds, .removed = removed, .arg = arg};
    k->object_id = span_dup(ask->object_id);
    if (!k->object_id || asprintf(&k->folder, "%s/logs", data_dir) < 0) {
        k->folder = NULL;
        log_keep_free(k);
        return NULL;
    }
    return k;
}

void log_keep_free(struct log_keep *k)
{
    if (!k)
        return;
    if (k->objects)
        closedir(k->objects);
    free(k->folder);
    free(k->object_id);
    free(k);
}

static bool is_old(const struct log_keep *k, const char *name)
{
    time_t at = log_files_rotated_at(name), now = time(NULL);
    return at != (time_t)-1 && at < now && (uint64_t)(now - at) > k->seconds;
}

static uint64_t lines_of(int folder, const char *name)
{
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int64_t lines =
        fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? log_count_file(fd, st.st_size) : 0;
    if (fd >= 0)
        close(fd);
    return lines < 0 ? 0 : (uint64_t)lines;
}

static void remove_file(int folder, const char *name, struct scribe_rpc_log_removed *removed)
{
    uint64_t lines = lines_of(folder, name);
    if (unlinkat(folder, name, 0) < 0) {
        log_warn("%.*s/%s cannot be removed: %m", (int)removed->object_id.len,
                 removed->object_id.data, name);
        return;
    }
    removed->files++;
    removed->lines += lines;
}

static void tidy_folder(struct log_keep *k, int folder, const char *object_id)
{
    struct dirent **names;
    struct scribe_rpc_log_removed removed = {.object_id = span_of(object_id)};
    int count = scandirat(folder, ".", &names, log_files_is_rotated, log_files_newest_first);
    for (int i = 0; i < count; i++) {
        if ((uint64_t)i >= k->files || is_old(k, names[i]->d_name))
            remove_file(folder, names[i]->d_name, &removed);
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    k->count += removed.files;
    if (removed.files > 0)
        k->removed(k->arg, &removed);
}

static int tidy(struct log_keep *k, int parent, const char *object_id)
{
    int folder = openat(parent, object_id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
    tidy_folder(k, folder, object_id);
    close(folder);
    return 0;
}

static int tidy_one(struct log_keep *k)
{
    if (strchr(k->object_id, '/') || k->object_id[0] == '.')
        return -EINVAL;
    int parent = open(k->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    int err = tidy(k, parent, k->object_id);
    close(parent);
    return err;
}

static int tidy_all(struct log_keep *k, uint64_t until_ns)
{
    while (clock_mono_ns() < until_ns) {
        errno = 0;
        const struct dirent *entry = readdir(k->objects);
        if (!entry)
            return -errno;
        if (entry->d_name[0] == '.')
            continue;
        int err = tidy(k, dirfd(k->objects), entry->d_name);
        if (err)
            log_warn("log of %s: %s", entry->d_name, strerror(-err));
    }
    return 1;
}

int log_keep_step(struct log_keep *k, uint64_t until_ns)
{
    if (*k->object_id)
        return tidy_one(k);
    if (!k->is_started) {
        k->is_started = true;
        k->objects = opendir(k->folder);
        if (!k->objects)
            return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    }
    return tidy_all(k, until_ns);
}

uint64_t log_keep_files(const struct log_keep *k)
{
    return k->count;
}
