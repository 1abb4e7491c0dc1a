// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/tree_private.h"

#include "common/log.h"
#include "supervisor/objects/needs.h"
#include "supervisor/objects/object_index.h"
#include "supervisor/objects/saved.h"
#include "supervisor/schedules/schedules.h"
#include "supervisor/station.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

bool tree_file_exists(const struct tree_watch *t, const char *file)
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

/* The scan under way has met it: nobody needs to ask the disk. */
static bool was_just_seen(const struct tree_watch *t, const struct object *o)
{
    return t->scan.prefix && *t->scan.prefix == '\0' && o->seen == t->scan.number;
}

/* Two files with one id: the one that is there first keeps it. */
static bool yields_to_other(struct tree_watch *t, struct object *o, const char *file)
{
    if (strcmp(o->file, file) == 0)
        return false;
    if (o->phase != OBJECT_GONE && (was_just_seen(t, o) || tree_file_exists(t, o->file))) {
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
    if (len > 3 && strcmp(file + len - 3, ".py") == 0 && !tree_is_hidden(base))
        log_warn("%s is no object: its name needs letters, digits, '_', '.' and '-' only, %d bytes "
                 "with its folders",
                 file, OBJECT_ID_MAX);
}

void tree_file_present(struct tree_watch *t, const char *file)
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
    o->seen = t->scan.number;
    if (is_new) {
        log_debug("object %s found: %s", id, file);
        needs_changed(o);
        if (t->station->ready)
            schedules_look_into(o);
    } else {
        saved_file(o);
    }
}

/* The file with the same id, if there is one, takes over. */
static void file_absent(struct tree_watch *t, struct object *o, const char *file)
{
    if (o->conflict && strcmp(o->conflict, file) == 0)
        set_text(&o->conflict, NULL);
    if (strcmp(o->file, file) != 0)
        return;
    if (o->conflict && tree_file_exists(t, o->conflict)) {
        free(o->file);
        o->file = o->conflict;
        o->conflict = NULL;
        saved_file(o);
        return;
    }
    saved_missing(o);
}

void tree_path_absent(struct tree_watch *t, const char *file)
{
    char id[OBJECT_ID_MAX + 1];
    if (!object_id_of_path(file, id))
        return;
    struct object *o = object_find(t->station->objects, id, strlen(id));
    if (o)
        file_absent(t, o, file);
}

void tree_look_after(struct tree_watch *t, struct object *o)
{
    if (o->phase != OBJECT_GONE && !tree_file_exists(t, o->file))
        file_absent(t, o, o->file);
}

/* What lies below a folder has ids that begin alike. */
void tree_below_absent(struct tree_watch *t, const char *prefix)
{
    struct object_index *order = object_order(t->station->objects);
    char start[PATH_MAX];
    struct object *o;
    size_t len = strlen(prefix);
    if (len > OBJECT_ID_MAX)
        return;
    for (size_t i = 0; i <= len; i++)
        start[i] = prefix[i] == '/' ? '_' : prefix[i];
    for (size_t i = object_index_find(order, start); (o = object_index_at(order, i)); i++) {
        if (strncmp(o->id, start, len) != 0)
            return;
        if (strncmp(o->file, prefix, len) == 0)
            tree_look_after(t, o);
    }
}
