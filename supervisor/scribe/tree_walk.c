// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/tree_walk.h"

#include "common/clock.h"
#include "common/venv.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCH_BYTES = 16 * 1024 };

/* A folder that is being listed. */
struct level {
    char *prefix;
    struct dirent **entries;
    int count, next;
};

struct tree_walk {
    char *dir, *prefix;
    int inotify_fd;
    uint64_t job;
    tree_walk_fn found;
    void *arg;
    struct level levels[TREE_DEPTH_MAX + 1];
    unsigned depth; /* levels in use */
    bool is_started;
    struct buf batch;
    uint32_t batch_count;
    uint64_t count;
};

struct tree_walk *tree_walk_new(const struct scribe_rpc_tree_scan *ask, int inotify_fd,
                                uint64_t job, tree_walk_fn found, void *arg)
{
    struct tree_walk *w = calloc(1, sizeof(*w));
    if (!w) {
        close(inotify_fd);
        return NULL;
    }
    w->inotify_fd = inotify_fd;
    w->job = job;
    w->found = found;
    w->arg = arg;
    w->dir = span_dup(ask->objects_dir);
    w->prefix = span_dup(ask->prefix);
    if (w->dir && w->prefix)
        return w;
    tree_walk_free(w);
    return NULL;
}

static void leave(struct tree_walk *w)
{
    struct level *l = &w->levels[--w->depth];
    while (l->next < l->count)
        free(l->entries[l->next++]);
    free(l->entries);
    free(l->prefix);
    *l = (struct level){0};
}

void tree_walk_free(struct tree_walk *w)
{
    if (!w)
        return;
    while (w->depth)
        leave(w);
    buf_free(&w->batch);
    free(w->dir);
    free(w->prefix);
    close(w->inotify_fd);
    free(w);
}

/* --- telling --- */

static int tell(struct tree_walk *w)
{
    struct scribe_rpc_tree_found m = {w->batch_count, {w->batch.data, w->batch.len}};
    if (!buf_ok(&w->batch))
        return -ENOMEM;
    if (w->batch_count)
        w->found(w->arg, w->job, &m);
    w->count += w->batch_count;
    w->batch_count = 0;
    buf_reset(&w->batch, 0);
    return 0;
}

static void note(struct tree_walk *w, enum scribe_tree_kind kind, const char *path, int watch,
                 int error)
{
    struct scribe_rpc_tree_entry e = {kind, (uint32_t)watch, (uint32_t)error, span_of(path)};
    scribe_rpc_tree_entry_encode(&w->batch, &e);
    w->batch_count++;
}

/* --- folders --- */

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && entry->d_name[0] != '_';
}

/* Without the slash at the end, which would follow a link. */
static bool full_path(const struct tree_walk *w, const char *prefix, char *path)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", w->dir, prefix);
    if (n < 0 || n >= PATH_MAX)
        return false;
    if (*prefix)
        path[n - 1] = '\0';
    return true;
}

static void watch(struct tree_walk *w, const char *prefix, const char *path)
{
    int number = inotify_add_watch(w->inotify_fd, path, TREE_WATCHED_EVENTS);
    if (number >= 0 || (errno != ENOENT && errno != ENOTDIR))
        note(w, SCRIBE_TREE_FOLDER, prefix, number < 0 ? 0 : number, number < 0 ? errno : 0);
}

/* From the objects folder on, wherever this walk began: another one must come to the same. */
static unsigned depth_of(const char *prefix)
{
    unsigned depth = 0;
    for (; *prefix; prefix++)
        depth += *prefix == '/';
    return depth;
}

/* Takes prefix over. */
static int enter(struct tree_walk *w, char *prefix)
{
    char path[PATH_MAX];
    struct level *l = &w->levels[w->depth];
    if (!prefix)
        return -ENOMEM;
    if (depth_of(prefix) > TREE_DEPTH_MAX) {
        note(w, SCRIBE_TREE_TOO_DEEP, prefix, 0, 0);
    } else if (full_path(w, prefix, path)) {
        watch(w, prefix, path);
        int count = scandir(path, &l->entries, is_visible, by_name);
        if (count >= 0) {
            l->prefix = prefix;
            l->count = count;
            l->next = 0;
            w->depth++;
            return 0;
        }
        if (errno != ENOENT && errno != ENOTDIR)
            note(w, SCRIBE_TREE_UNREADABLE, prefix, 0, errno);
    }
    free(prefix);
    return 0;
}

/* --- entries --- */

static bool is_folder(const struct tree_walk *w, const struct level *l, const struct dirent *entry)
{
    char path[PATH_MAX];
    struct stat st;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    int n = snprintf(path, sizeof(path), "%s/%s%s", w->dir, l->prefix, entry->d_name);
    return n > 0 && n < PATH_MAX && lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_python(const char *name)
{
    size_t len = strlen(name);
    return len > 3 && strcmp(name + len - 3, ".py") == 0;
}

static int look_at(struct tree_walk *w, const struct level *l, const struct dirent *entry)
{
    char path[PATH_MAX];
    bool is_dir = is_folder(w, l, entry);
    int n = snprintf(path, sizeof(path), "%s%s%s", l->prefix, entry->d_name, is_dir ? "/" : "");
    if (n < 0 || n >= PATH_MAX)
        return 0; /* deeper than any path can name */
    if (is_dir && strcmp(entry->d_name, VENV_FOLDER) == 0)
        return 0;
    if (is_dir)
        return enter(w, strdup(path));
    if (is_python(entry->d_name))
        note(w, SCRIBE_TREE_FILE, path, 0, 0);
    return 0;
}

static int next(struct tree_walk *w)
{
    if (!w->is_started) {
        w->is_started = true;
        return enter(w, strdup(w->prefix));
    }
    struct level *l = &w->levels[w->depth - 1];
    if (l->next == l->count) {
        leave(w);
        return 0;
    }
    struct dirent *entry = l->entries[l->next++];
    int err = look_at(w, l, entry);
    free(entry);
    return err;
}

int tree_walk_step(struct tree_walk *w, uint64_t until_ns)
{
    int err = 0;
    while (!err && (w->depth || !w->is_started) && clock_mono_ns() < until_ns) {
        err = next(w);
        if (!err && w->batch.len >= BATCH_BYTES)
            err = tell(w);
    }
    if (!err)
        err = tell(w);
    return err ? err : w->depth > 0 || !w->is_started;
}

uint64_t tree_walk_count(const struct tree_walk *w)
{
    return w->count;
}
