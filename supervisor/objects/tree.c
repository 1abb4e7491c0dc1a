// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/tree.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/venv.h"
#include "supervisor/objects/imports.h"
#include "supervisor/objects/saved.h"
#include "supervisor/station.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TREE_DEPTH_MAX = 32,
    ROOT_CHECK_S = 1,
    WATCHED_EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
                     IN_ONLYDIR | IN_EXCL_UNLINK | IN_DONT_FOLLOW,
};

/* A watched folder: its path below the objects folder, "" or "basics/". */
struct folder {
    int wd;
    char *prefix;
    UT_hash_handle hh;
};

struct tree_watch {
    struct station *station;
    int fd;
    dev_t root_dev; /* which folder is watched as the objects folder; 0, 0: none */
    ino_t root_ino;
    struct loop_timer root_timer;
    struct loop_source *source;
    struct folder *by_wd;
};

static void scan_folder(struct tree_watch *t, const char *prefix, unsigned depth);

static bool is_hidden(const char *name)
{
    return name[0] == '.' || name[0] == '_';
}

/* A folder that holds no objects. */
static bool is_hidden_folder(const char *name)
{
    return is_hidden(name) || strcmp(name, VENV_FOLDER) == 0;
}

/* --- files --- */

static bool file_exists(const struct tree_watch *t, const char *file)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s/%s", t->station->config.objects_dir, file);
    return n > 0 && (size_t)n < sizeof(path) && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static void set_text(char **field, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        return;
    free(*field);
    *field = copy;
}

/* Two files with one id: the one that is there first keeps it. */
static bool yields_to_other(struct tree_watch *t, struct object *o, const char *file)
{
    if (strcmp(o->file, file) == 0)
        return false;
    if (o->phase != OBJECT_GONE && file_exists(t, o->file)) {
        if (!o->conflict || strcmp(o->conflict, file) != 0)
            log_warn("%s has the same object id as %s, which keeps it: %s", file, o->file, o->id);
        set_text(&o->conflict, file);
        return true;
    }
    set_text(&o->file, file);
    return false;
}

/* A Python file that nobody hid, and that cannot be an object, is a surprise worth a word. */
static void warn_of_name(const char *file)
{
    size_t len = strlen(file);
    const char *base = strrchr(file, '/');
    base = base ? base + 1 : file;
    if (len > 3 && strcmp(file + len - 3, ".py") == 0 && !is_hidden(base))
        log_warn("%s is no object: its name needs letters, digits, '_', '.' and '-' only, %d bytes "
                 "with its folders",
                 file, OBJECT_ID_MAX);
}

static void file_present(struct tree_watch *t, const char *file)
{
    char id[OBJECT_ID_MAX + 1];
    if (!object_id_of_path(file, id)) {
        warn_of_name(file);
        return;
    }
    struct object *o = object_find(t->station->objects, id, strlen(id));
    bool is_new = !o;
    if (!o)
        o = object_add(t->station, id, file);
    if (!o) {
        log_error("no memory for object %s", id);
        return;
    }
    if (yields_to_other(t, o, file))
        return;
    if (is_new)
        log_debug("object %s found: %s", id, file);
    else
        saved_file(o);
}

/* The file with the same id, if there is one, takes over. */
static void file_absent(struct tree_watch *t, struct object *o, const char *file)
{
    if (o->conflict && strcmp(o->conflict, file) == 0)
        set_text(&o->conflict, NULL);
    if (strcmp(o->file, file) != 0)
        return;
    if (o->conflict && file_exists(t, o->conflict)) {
        free(o->file);
        o->file = o->conflict;
        o->conflict = NULL;
        saved_file(o);
        return;
    }
    saved_missing(o);
}

static void path_absent(struct tree_watch *t, const char *file)
{
    char id[OBJECT_ID_MAX + 1];
    if (!object_id_of_path(file, id))
        return;
    struct object *o = object_find(t->station->objects, id, strlen(id));
    if (o)
        file_absent(t, o, file);
}

/* --- folders --- */

static void watch_folder(struct tree_watch *t, const char *prefix)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", t->station->config.objects_dir, prefix);
    int wd = inotify_add_watch(t->fd, path, WATCHED_EVENTS);
    if (wd < 0) {
        if (errno == ENOSPC)
            log_error("cannot watch %s: fs.inotify.max_user_watches is reached", path);
        else if (errno != ENOENT && errno != ENOTDIR)
            log_error("cannot watch %s: %m", path);
        return;
    }
    struct folder *f;
    HASH_FIND_INT(t->by_wd, &wd, f);
    if (f) {
        set_text(&f->prefix, prefix); /* the same folder under a new name */
        return;
    }
    f = calloc(1, sizeof(*f));
    if (!f || !(f->prefix = strdup(prefix))) {
        log_error("no memory to watch %s", path);
        free(f);
        inotify_rm_watch(t->fd, wd);
        return;
    }
    f->wd = wd;
    HASH_ADD_INT(t->by_wd, wd, f);
}

static void forget_folder(struct tree_watch *t, struct folder *f)
{
    HASH_DEL(t->by_wd, f);
    free(f->prefix);
    free(f);
}

static void unwatch_below(struct tree_watch *t, const char *prefix)
{
    struct folder *f, *next;
    HASH_ITER (hh, t->by_wd, f, next) {
        if (strncmp(f->prefix, prefix, strlen(prefix)) != 0)
            continue;
        inotify_rm_watch(t->fd, f->wd);
        forget_folder(t, f);
    }
}

static void check_below(struct object *o, void *arg)
{
    struct {
        struct tree_watch *tree;
        const char *prefix;
    } *context = arg;
    if (strncmp(o->file, context->prefix, strlen(context->prefix)) == 0 &&
        !file_exists(context->tree, o->file))
        file_absent(context->tree, o, o->file);
}

static void files_below_absent(struct tree_watch *t, const char *prefix)
{
    struct {
        struct tree_watch *tree;
        const char *prefix;
    } context = {t, prefix};
    object_each(t->station->objects, check_below, &context);
}

static void scan_entry(struct tree_watch *t, const char *prefix, const struct dirent *entry,
                       unsigned depth)
{
    char path[PATH_MAX], full[2 * PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s%s", prefix, entry->d_name);
    if (n < 0 || (size_t)n >= sizeof(path) - 1)
        return; /* deeper than any path can name */
    snprintf(full, sizeof(full), "%s/%s", t->station->config.objects_dir, path);
    if (lstat(full, &st) < 0)
        return;
    if (S_ISDIR(st.st_mode)) {
        if (is_hidden_folder(entry->d_name))
            return;
        strcat(path, "/");
        scan_folder(t, path, depth + 1);
    } else {
        file_present(t, path);
    }
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return !is_hidden(entry->d_name);
}

/* Watches first, then looks: what appears in between is seen twice, never missed. */
static void scan_folder(struct tree_watch *t, const char *prefix, unsigned depth)
{
    char full[PATH_MAX];
    struct dirent **entries;
    if (depth > TREE_DEPTH_MAX) {
        log_warn("%s is nested deeper than %d folders: not entered", prefix, TREE_DEPTH_MAX);
        return;
    }
    watch_folder(t, prefix);
    snprintf(full, sizeof(full), "%s/%s", t->station->config.objects_dir, prefix);
    int count = scandir(full, &entries, is_visible, by_name);
    if (count < 0) {
        if (errno != ENOENT)
            log_error("cannot read %s: %m", full);
        return;
    }
    for (int i = 0; i < count; i++) {
        scan_entry(t, prefix, entries[i], depth);
        free(entries[i]);
    }
    free(entries);
}

static void rescan(struct tree_watch *t)
{
    log_info("scanning the objects folder again");
    files_below_absent(t, "");
    scan_folder(t, "", 0);
    imports_folder_changed(t->station->imports, "");
}

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
        unwatch_below(t, "");
        remember_root(t, &st);
        rescan(t);
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
        scan_folder(t, prefix, 1);
    } else if (mask & (IN_MOVED_FROM | IN_DELETE)) {
        unwatch_below(t, prefix);
        files_below_absent(t, prefix);
    }
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
        file_present(t, file);
    else if (mask & (IN_MOVED_FROM | IN_DELETE))
        path_absent(t, file);
    else if ((mask & IN_CREATE) && is_complete(t, file))
        file_present(t, file);
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
    if (is_hidden(f->prefix) || venv_holds(f->prefix))
        return true;
    for (const char *slash = strchr(f->prefix, '/'); slash && slash[1];
         slash = strchr(slash + 1, '/'))
        if (is_hidden(slash + 1))
            return true;
    return false;
}

static void on_event(struct tree_watch *t, const struct inotify_event *event)
{
    char path[PATH_MAX];
    struct folder *f;
    if (event->mask & IN_Q_OVERFLOW) {
        rescan(t);
        return;
    }
    HASH_FIND_INT(t->by_wd, &event->wd, f);
    if (!f)
        return;
    if (event->mask & IN_IGNORED) {
        if (*f->prefix == '\0') /* made again it may get the same number */
            remember_root(t, &(struct stat){0});
        forget_folder(t, f);
        return;
    }
    if (event->len == 0 || event->name[0] == '.')
        return;
    int n = snprintf(path, sizeof(path), "%s%s", f->prefix, event->name);
    if (n < 0 || (size_t)n >= sizeof(path) - 1)
        return;
    note_import(t, path, event->mask);
    if (is_hidden(event->name) || holds_no_objects(f))
        return;
    if (event->mask & IN_ISDIR && !is_hidden_folder(event->name))
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

struct tree_watch *tree_watch_new(struct station *station)
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
    t->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (t->fd < 0)
        die(EXIT_CODE_ENVIRONMENT, "inotify: %m");
    t->source = loop_watch(station->loop, t->fd, EPOLLIN, on_inotify, t);
    if (!t->source)
        die(EXIT_CODE_ENVIRONMENT, "cannot watch inotify: %m");
    remember_root(t, &st);
    scan_folder(t, "", 0);
    loop_timer_set(station->loop, &t->root_timer, ROOT_CHECK_S * NS_PER_S, check_root, t);
    return t;
}

void tree_watch_folder(struct tree_watch *t, const char *prefix)
{
    watch_folder(t, prefix);
}

void tree_watch_free(struct tree_watch *t)
{
    struct folder *f, *next;
    if (!t)
        return;
    HASH_ITER (hh, t->by_wd, f, next)
        forget_folder(t, f);
    loop_timer_cancel(&t->root_timer);
    loop_unwatch(t->source);
    close(t->fd);
    free(t);
}
