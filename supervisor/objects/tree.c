// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/tree.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/venv.h"
#include "supervisor/objects/imports.h"
#include "supervisor/objects/tree_private.h"
#include "supervisor/station.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { ROOT_CHECK_S = 1 };

/* --- the objects folder itself --- */

static bool stat_root(const struct tree_watch *t, struct stat *st)
{
    return stat(t->station->config.objects_dir, st) == 0 && S_ISDIR(st->st_mode);
}

static void remember_root(struct tree_watch *t, const struct stat *st)
{
    t->root_dev = st->st_dev;
    t->root_ino = st->st_ino;
}

/*
 * Another folder may take its place: renamed, made again, a link or mount that leads elsewhere.
 * inotify tells none of that, so its identity is compared now and then.
 */
static void check_root(void *arg)
{
    struct tree_watch *t = arg;
    struct stat st;
    if (!stat_root(t, &st))
        st = (struct stat){0};
    if (st.st_dev != t->root_dev || st.st_ino != t->root_ino) {
        log_warn("the objects folder %s is %s", t->station->config.objects_dir,
                 st.st_ino ? "another one now" : "gone");
        tree_folders_unwatch(t, "");
        remember_root(t, &st);
        tree_scan_ask(t, "");
    }
    loop_timer_set(t->station->loop, &t->root_timer, ROOT_CHECK_S * NS_PER_S, check_root, t);
}

/* --- inotify --- */

static void on_folder_event(struct tree_watch *t, const char *path, uint32_t mask)
{
    char prefix[PATH_MAX];
    int n = snprintf(prefix, sizeof(prefix), "%s/", path);
    if (n < 0 || (size_t)n >= sizeof(prefix))
        return;
    if (mask & (IN_CREATE | IN_MOVED_TO)) {
        tree_scan_ask(t, prefix);
        return;
    }
    if (mask & IN_MOVED_FROM) /* of one that was removed nothing is watched any more */
        tree_folders_unwatch(t, prefix);
    tree_below_absent(t, prefix);
}

/* A file that is being created will be closed; a link is complete at once. */
static bool is_complete(const struct tree_watch *t, const char *file)
{
    char path[PATH_MAX];
    struct stat st;
    int len = snprintf(path, sizeof(path), "%s/%s", t->station->config.objects_dir, file);
    return len < (int)sizeof(path) && lstat(path, &st) == 0 &&
           (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}

static void on_file_event(struct tree_watch *t, const char *file, uint32_t mask)
{
    if (mask & (IN_CLOSE_WRITE | IN_MOVED_TO))
        tree_file_present(t, file);
    else if (mask & (IN_MOVED_FROM | IN_DELETE))
        tree_path_absent(t, file);
    else if ((mask & IN_CREATE) && is_complete(t, file))
        tree_file_present(t, file);
}

/* Objects may import any file, those that can be no objects too. */
static void note_import(struct tree_watch *t, char *path, uint32_t mask)
{
    struct import_table *imports = t->station->imports;
    if (!(mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE)))
        return;
    if (mask & IN_ISDIR) {
        char prefix[PATH_MAX + 1];
        snprintf(prefix, sizeof(prefix), "%s/", path);
        imports_folder_changed(imports, prefix);
    } else if (!(mask & IN_CREATE) || is_complete(t, path)) {
        imports_file_changed(imports, path);
    }
}

/* It is watched for what was imported from it, and no more. */
static bool holds_no_objects(const struct folder *f)
{
    if (tree_is_hidden(f->prefix) || venv_holds(f->prefix))
        return true;
    for (const char *slash = strchr(f->prefix, '/'); slash && slash[1];
         slash = strchr(slash + 1, '/'))
        if (tree_is_hidden(slash + 1))
            return true;
    return false;
}

static void on_event(struct tree_watch *t, const struct inotify_event *event)
{
    char path[PATH_MAX];
    struct folder *f;
    if (event->mask & IN_Q_OVERFLOW) {
        log_info("many files changed at once: scanning the objects folder again");
        tree_scan_ask(t, "");
        return;
    }
    f = tree_folder_find(t, event->wd);
    if (!f)
        return;
    if (event->mask & IN_IGNORED) {
        if (*f->prefix == '\0') /* made again it may get the same number */
            remember_root(t, &(struct stat){0});
        tree_folder_forget(t, f);
        return;
    }
    if (event->len == 0 || event->name[0] == '.')
        return;
    int n = snprintf(path, sizeof(path), "%s%s", f->prefix, event->name);
    if (n < 0 || (size_t)n >= sizeof(path) - 1)
        return;
    note_import(t, path, event->mask);
    if (tree_is_hidden(event->name) || holds_no_objects(f))
        return;
    bool is_venv = strcmp(event->name, VENV_FOLDER) == 0;
    if (event->mask & IN_ISDIR && !is_venv)
        on_folder_event(t, path, event->mask);
    else if (!(event->mask & IN_ISDIR))
        on_file_event(t, path, event->mask);
}

static void on_inotify(void *arg, uint32_t events)
{
    struct tree_watch *t = arg;
    char chunk[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    (void)events;
    ssize_t n = read(t->fd, chunk, sizeof(chunk));
    for (ssize_t at = 0; at < n;) {
        const struct inotify_event *event = (const struct inotify_event *)(chunk + at);
        at += (ssize_t)(sizeof(*event) + event->len);
        on_event(t, event);
    }
}

int tree_check(const char *dir)
{
    struct stat st;
    if (stat(dir, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    return access(dir, R_OK | X_OK) < 0 ? -errno : 0;
}

static int open_inotify(struct tree_watch *t)
{
    t->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (t->fd < 0)
        return -errno;
    t->source = loop_watch(t->station->loop, t->fd, 0, on_inotify, t);
    return t->source ? 0 : -errno;
}

struct tree_watch *tree_watch_new(struct station *station, void (*scanned)(void *arg), void *arg)
{
    const char *dir = station->config.objects_dir;
    struct tree_watch *t = calloc(1, sizeof(*t));
    struct stat st;
    if (!t)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the objects folder");
    int err = tree_check(dir);
    if (err || stat(dir, &st) < 0)
        die(EXIT_CODE_ENVIRONMENT, "the objects folder %s cannot be read: %s", dir,
            strerror(err ? -err : errno));
    t->station = station;
    err = open_inotify(t);
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "inotify: %s%s", strerror(-err),
            err == -EMFILE ? " (fs.inotify.max_user_instances is reached)" : "");
    remember_root(t, &st);
    t->scan.on_first = scanned;
    t->scan.on_first_arg = arg;
    tree_scan_ask(t, "");
    loop_timer_set(station->loop, &t->root_timer, ROOT_CHECK_S * NS_PER_S, check_root, t);
    return t;
}

void tree_hear(struct tree_watch *t, bool events)
{
    loop_rewatch(t->source, events ? EPOLLIN : 0);
}

void tree_watch_folder(struct tree_watch *t, const char *prefix)
{
    tree_folder_watch(t, prefix);
}

void tree_watch_free(struct tree_watch *t)
{
    if (!t)
        return;
    tree_scan_free(t);
    tree_folders_free(t);
    loop_timer_cancel(&t->root_timer);
    loop_unwatch(t->source);
    close(t->fd);
    free(t);
}
