// SPDX-License-Identifier: Apache-2.0
#include "supervisor/crashes/crash_store.h"

#include "common/fd_io.h"
#include "common/log.h"
#include "supervisor/crashes/crash_id.h"
#include "supervisor/log/log_level.h"
#include "supervisor/scribe/log_query.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
    LOG_READ_MAX = 1024 * 1024, /* bytes */
    LOG_ANSWER_MAX = 256 * 1024,
};
#define TEMP_NAME ".new" /* one at a time: the scribe is one process */

/* --- folders --- */

static int open_all(const char *data_dir, bool create)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/crashes", data_dir);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = open(path, FOLDER_FLAGS);
    return fd < 0 ? -errno : fd;
}

static int open_object(int all, struct span object_id, bool create)
{
    char name[NAME_MAX + 1];
    bool is_name = object_id.len > 0 && object_id.len < sizeof(name) && object_id.data[0] != '.' &&
                   !memchr(object_id.data, '/', object_id.len) &&
                   !memchr(object_id.data, '\0', object_id.len);
    if (!is_name)
        return -EINVAL;
    snprintf(name, sizeof(name), "%.*s", (int)object_id.len, object_id.data);
    if (create && mkdirat(all, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(all, name, FOLDER_FLAGS);
    return fd < 0 ? -errno : fd;
}

int crash_store_folder(const char *data_dir, struct span object_id)
{
    int all = open_all(data_dir, false);
    if (all < 0)
        return all;
    int folder = open_object(all, object_id, false);
    close(all);
    return folder;
}

/* --- writing --- */

/*
 * The lines of the log that lead up to it; none where the log cannot be read. Those of stderr are
 * in the report already, and long stacks among them would leave no room for others.
 */
static void put_log(struct buf *out, const char *data_dir, const struct scribe_rpc_crash_write *m)
{
    struct scribe_rpc_search ask = {.object_id = m->object_id,
                                    .levels = ~log_level_bit(span_of("STDERR")),
                                    .limit = m->log_lines,
                                    .upto = m->log_upto,
                                    .read_max = LOG_READ_MAX,
                                    .answer_max = LOG_ANSWER_MAX,
                                    .filters = {"", 0}};
    struct log_query *query = log_query_new(data_dir, &ask);
    buf_puts(out, ",\n\"log\":[");
    if (query && log_query_step(query, UINT64_MAX) == 0)
        log_query_put(query, out);
    log_query_free(query);
    buf_puts(out, "]}\n");
}

static int write_temp(int folder, const struct buf *text)
{
    unlinkat(folder, TEMP_NAME, 0); /* of a life that ended in between */
    int fd = openat(folder, TEMP_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int err = fd_io_write(fd, text->data, text->len);
    if (!err && fdatasync(fd) < 0)
        err = -errno;
    if (close(fd) < 0 && !err)
        err = -errno;
    return err;
}

static int put_in_place(int folder, const struct scribe_rpc_crash_write *m, const struct buf *text)
{
    char id[CRASH_ID_SIZE], name[CRASH_NAME_SIZE];
    if (!crash_id_valid(m->crash_id.data, m->crash_id.len))
        return -EINVAL;
    snprintf(id, sizeof(id), "%.*s", (int)m->crash_id.len, m->crash_id.data);
    crash_id_file(id, name);
    int err = write_temp(folder, text);
    if (!err && renameat(folder, TEMP_NAME, folder, name) < 0)
        err = -errno;
    if (err)
        unlinkat(folder, TEMP_NAME, 0);
    return err;
}

/* --- bounds --- */

static int is_report(const struct dirent *entry)
{
    char id[CRASH_ID_SIZE];
    return crash_id_of_file(entry->d_name, id);
}

static int oldest_first(const struct dirent **a, const struct dirent **b)
{
    return crash_id_compare((*a)->d_name, (*b)->d_name);
}

static void remove_report(int folder, const char *name, uint64_t *removed)
{
    if (unlinkat(folder, name, 0) == 0)
        ++*removed;
    else
        log_warn("crash report %s cannot be removed: %m", name);
}

/* How many are left, or -errno. */
static int64_t bound_object(int folder, uint64_t max, uint64_t *removed)
{
    struct dirent **names;
    int count = scandirat(folder, ".", &names, is_report, oldest_first);
    if (count < 0)
        return -errno;
    uint64_t before = *removed;
    for (int i = 0; i < count; i++) {
        if ((uint64_t)(count - i) > max)
            remove_report(folder, names[i]->d_name, removed);
        free(names[i]);
    }
    free(names);
    return count - (int64_t)(*removed - before);
}

struct report {
    char id[CRASH_ID_SIZE];
    char *object; /* borrowed from the list of folders */
};

struct reports {
    struct report *list;
    size_t count, cap;
};

static bool add(struct reports *all, const char *name, char *object)
{
    char id[CRASH_ID_SIZE];
    if (!crash_id_of_file(name, id))
        return true;
    if (all->count == all->cap) {
        size_t cap = all->cap ? all->cap * 2 : 256;
        struct report *grown = realloc(all->list, cap * sizeof(*grown));
        if (!grown)
            return false;
        all->list = grown;
        all->cap = cap;
    }
    struct report *r = &all->list[all->count++];
    memcpy(r->id, id, sizeof(id));
    r->object = object;
    return true;
}

static bool add_folder(struct reports *all, int parent, char *object)
{
    int fd = openat(parent, object, FOLDER_FLAGS);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    bool ok = true;
    if (!folder) {
        if (fd >= 0)
            close(fd);
        return true; /* no folder: not ours to judge */
    }
    while (ok && (entry = readdir(folder)))
        ok = add(all, entry->d_name, object);
    closedir(folder);
    return ok;
}

static int by_id(const void *a, const void *b)
{
    return crash_id_compare(((const struct report *)a)->id, ((const struct report *)b)->id);
}

static void remove_oldest(int parent, struct reports *all, uint64_t max, uint64_t *removed)
{
    qsort(all->list, all->count, sizeof(*all->list), by_id);
    for (size_t i = 0; i + max < all->count; i++) {
        char name[CRASH_NAME_SIZE];
        int folder = openat(parent, all->list[i].object, FOLDER_FLAGS);
        crash_id_file(all->list[i].id, name);
        if (folder < 0)
            continue;
        remove_report(folder, name, removed);
        close(folder);
        unlinkat(parent, all->list[i].object, AT_REMOVEDIR); /* if that was its last */
    }
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int bound_station(int parent, uint64_t max, uint64_t *removed)
{
    struct reports all = {0};
    struct dirent **folders;
    int count = scandirat(parent, ".", &folders, is_visible, NULL), err = 0;
    if (count < 0)
        return -errno;
    for (int i = 0; i < count && !err; i++)
        err = add_folder(&all, parent, folders[i]->d_name) ? 0 : -ENOMEM;
    if (!err && all.count > max)
        remove_oldest(parent, &all, max, removed);
    for (int i = 0; i < count; i++)
        free(folders[i]);
    free(folders);
    free(all.list);
    return err;
}

static int write_and_bound(int all, const struct scribe_rpc_crash_write *m, const struct buf *text,
                           uint64_t *removed)
{
    int folder = open_object(all, m->object_id, true);
    if (folder < 0)
        return folder;
    int err = put_in_place(folder, m, text);
    if (!err && bound_object(folder, m->object_max, removed) < 0)
        err = -errno;
    close(folder);
    return err ? err : bound_station(all, m->station_max, removed);
}

int crash_store_write(const char *data_dir, const struct scribe_rpc_crash_write *m,
                      uint64_t *removed)
{
    struct buf text = BUF_INIT;
    int all = open_all(data_dir, true);
    *removed = 0;
    if (all < 0)
        return all;
    buf_append(&text, m->report.data, m->report.len);
    put_log(&text, data_dir, m);
    int err = buf_ok(&text) ? write_and_bound(all, m, &text, removed) : -ENOMEM;
    buf_free(&text);
    close(all);
    return err;
}
