// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/tree_private.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/objects/imports.h"
#include "supervisor/objects/object_index.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/scribe/scribe_rpc.h"
#include "supervisor/scribe/tree_walk.h"
#include "supervisor/station.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define SWEEP_SLICE_NS (1 * NS_PER_MS)   /* of one round of the loop */
#define RETRY_NS       (100 * NS_PER_MS) /* after a scan that failed */

static void start_next(struct tree_watch *t);

static bool is_whole(const char *prefix)
{
    return *prefix == '\0';
}

/* --- what was found --- */

static void complain_of_watch(struct tree_watch *t, const char *path, int err)
{
    if (t->scan.unwatched++ || t->scan.complained)
        return;
    t->scan.complained = true;
    log_error("cannot watch %s/%s: %s%s; the folder is scanned every %d s instead",
              t->station->config.objects_dir, path, strerror(err),
              err == ENOSPC ? " (fs.inotify.max_user_watches is reached)" : "", TREE_AGAIN_S);
}

static void on_found(void *arg, const struct scribe_rpc_tree_entry *e)
{
    struct tree_watch *t = arg;
    char path[PATH_MAX];
    memcpy(path, e->path.data, e->path.len); /* the decoder has seen to its length */
    path[e->path.len] = '\0';
    switch (e->kind) {
    case SCRIBE_TREE_FILE:
        tree_file_present(t, path);
        break;
    case SCRIBE_TREE_FOLDER:
        if (e->error)
            complain_of_watch(t, path, (int)e->error);
        else
            tree_folder_add(t, (int)e->watch, path);
        break;
    case SCRIBE_TREE_UNREADABLE:
        log_error("cannot read %s/%s: %s", t->station->config.objects_dir, path,
                  strerror((int)e->error));
        break;
    default:
        log_warn("%s is nested deeper than %d folders: not entered", path, TREE_DEPTH_MAX);
    }
}

/* --- what was not --- */

static void end_sweep(struct tree_watch *t)
{
    free(t->scan.sweep_after);
    t->scan.sweep_after = NULL;
    imports_folder_changed(t->station->imports, "");
    start_next(t);
}

/* Objects come and go between the slices, so the place is kept as an id. */
static void on_sweep(void *arg)
{
    struct tree_watch *t = arg;
    struct object_index *order = object_order(t->station->objects);
    uint64_t until_ns = clock_mono_ns() + SWEEP_SLICE_NS;
    struct object *o = NULL;
    size_t i = object_index_find(order, t->scan.sweep_after);
    for (; (o = object_index_at(order, i)) && clock_mono_ns() < until_ns; i++)
        if (o->seen != t->scan.number)
            tree_look_after(t, o);
    char *after = o ? strdup(o->id) : NULL;
    if (!after) {
        end_sweep(t);
        return;
    }
    free(t->scan.sweep_after);
    t->scan.sweep_after = after;
    loop_timer_set(t->station->loop, &t->scan.sweep_timer, 0, on_sweep, t);
}

static void sweep(struct tree_watch *t)
{
    t->scan.sweep_after = strdup("");
    if (t->scan.sweep_after)
        on_sweep(t);
    else
        start_next(t);
}

/* --- one after the other --- */

static void on_again(void *arg)
{
    tree_scan_ask(arg, "");
}

static void scan_again(struct tree_watch *t, uint64_t delay_ns)
{
    loop_timer_set(t->station->loop, &t->scan.again_timer, delay_ns, on_again, t);
}

static void settle_watches(struct tree_watch *t)
{
    if (t->scan.unwatched && !loop_timer_armed(&t->scan.again_timer)) {
        scan_again(t, TREE_AGAIN_S * NS_PER_S);
    } else if (!t->scan.unwatched && t->scan.complained) {
        t->scan.complained = false;
        log_info("every folder of %s is watched now", t->station->config.objects_dir);
    }
}

static void first_is_over(struct tree_watch *t)
{
    void (*fn)(void *arg) = t->scan.on_first;
    t->scan.on_first = NULL;
    object_index_find(object_order(t->station->objects), ""); /* sorted before anybody waits */
    fn(t->scan.on_first_arg);
}

static void on_done(void *arg, int err, uint64_t count)
{
    struct tree_watch *t = arg;
    bool was_whole = is_whole(t->scan.prefix), was_first = t->scan.on_first != NULL;
    (void)count;
    if (err) {
        log_warn("scanning the objects folder: %s; it is scanned again", strerror(-err));
        free(t->scan.prefix);
        t->scan.prefix = NULL;
        scan_again(t, RETRY_NS);
        return;
    }
    if (!was_whole)
        imports_folder_changed(t->station->imports, t->scan.prefix);
    free(t->scan.prefix);
    t->scan.prefix = NULL;
    if (was_whole || t->scan.unwatched)
        settle_watches(t);
    if (was_first)
        first_is_over(t);
    if (was_whole && !was_first)
        sweep(t);
    else
        start_next(t);
}

static void start(struct tree_watch *t)
{
    struct scribe_rpc_tree_scan m = {.objects_dir = span_of(t->station->config.objects_dir),
                                     .prefix = span_of(t->scan.prefix)};
    if (is_whole(t->scan.prefix)) {
        loop_timer_cancel(&t->scan.again_timer);
        t->scan.number++;
        t->scan.unwatched = 0;
    }
    tree_hear(t, false);
    scribe_tree_scan(t->station->scribe, &m, t->fd, on_found, on_done, t);
}

static bool is_busy(const struct tree_watch *t)
{
    return t->scan.prefix || t->scan.sweep_after;
}

/* Without a next one: goes on with the events. */
static void start_next(struct tree_watch *t)
{
    if (t->scan.wanted_count == 0) {
        tree_hear(t, true);
        return;
    }
    t->scan.prefix = t->scan.wanted[--t->scan.wanted_count];
    start(t);
}

static void drop_wanted(struct tree_watch *t)
{
    while (t->scan.wanted_count)
        free(t->scan.wanted[--t->scan.wanted_count]);
}

static bool is_wanted(const struct tree_watch *t, const char *prefix)
{
    for (size_t i = 0; i < t->scan.wanted_count; i++)
        if (strncmp(prefix, t->scan.wanted[i], strlen(t->scan.wanted[i])) == 0)
            return true;
    return false;
}

void tree_scan_ask(struct tree_watch *t, const char *prefix)
{
    if (is_wanted(t, prefix))
        return;
    if (t->scan.wanted_count == TREE_SCANS_MAX)
        prefix = "";
    if (is_whole(prefix))
        drop_wanted(t);
    char *copy = strdup(prefix);
    if (!copy) {
        scan_again(t, RETRY_NS);
        return;
    }
    t->scan.wanted[t->scan.wanted_count++] = copy;
    if (!is_busy(t))
        start_next(t);
}

void tree_scan_free(struct tree_watch *t)
{
    scribe_cancel(t->station->scribe, t);
    loop_timer_cancel(&t->scan.sweep_timer);
    loop_timer_cancel(&t->scan.again_timer);
    drop_wanted(t);
    free(t->scan.prefix);
    free(t->scan.sweep_after);
}
