// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/tree_private.h"

#include "common/log.h"
#include "supervisor/scribe/tree_walk.h"
#include "supervisor/station.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct folder *tree_folder_find(struct tree_watch *t, int wd)
{
    struct folder *f;
    HASH_FIND_INT(t->by_wd, &wd, f);
    return f;
}

void tree_folder_forget(struct tree_watch *t, struct folder *f)
{
    HASH_DEL(t->by_wd, f);
    free(f->prefix);
    free(f);
}

void tree_folder_add(struct tree_watch *t, int wd, const char *prefix)
{
    struct folder *f = tree_folder_find(t, wd);
    if (f && strcmp(f->prefix, prefix) == 0)
        return;
    if (f) /* the same folder under a new name */
        tree_folder_forget(t, f);
    f = calloc(1, sizeof(*f));
    if (f)
        f->prefix = strdup(prefix);
    if (f && f->prefix) {
        f->wd = wd;
        HASH_ADD_INT(t->by_wd, wd, f);
        if (f->hh.tbl)
            return;
    }
    log_error("no memory to watch %s", prefix);
    if (f)
        free(f->prefix);
    free(f);
    inotify_rm_watch(t->fd, wd);
}

void tree_folder_watch(struct tree_watch *t, const char *prefix)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", t->station->config.objects_dir, prefix);
    if (n < 0 || n >= PATH_MAX)
        return;
    int wd = inotify_add_watch(t->fd, path, TREE_WATCHED_EVENTS);
    if (wd >= 0)
        tree_folder_add(t, wd, prefix);
    else if (errno == ENOSPC)
        log_error("cannot watch %s: fs.inotify.max_user_watches is reached; what is imported from "
                  "there is not loaded again when it changes",
                  path);
    else if (errno != ENOENT && errno != ENOTDIR)
        log_error("cannot watch %s: %m", path);
}

void tree_folders_unwatch(struct tree_watch *t, const char *prefix)
{
    struct folder *f, *next;
    HASH_ITER (hh, t->by_wd, f, next) {
        if (strncmp(f->prefix, prefix, strlen(prefix)) != 0)
            continue;
        inotify_rm_watch(t->fd, f->wd);
        tree_folder_forget(t, f);
    }
}

void tree_folders_free(struct tree_watch *t)
{
    struct folder *f, *next;
    HASH_ITER (hh, t->by_wd, f, next)
        tree_folder_forget(t, f);
}
