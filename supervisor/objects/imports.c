// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/imports.h"

#include "supervisor/objects/saved.h"
#include "supervisor/objects/tree.h"
#include "supervisor/station.h"

#include <limits.h>
#include <stdlib.h>
#include <utlist.h>
#include <xxhash.h>

/* A file that objects have imported. */
struct import_file {
    char *path; /* below the objects folder */
    struct import_link *users;
    struct import_table *table;
    struct file_check check;
    UT_hash_handle hh;
};

/* That one object has imported one file. */
struct import_link {
    struct import_file *file;
    struct object *object;
    uint64_t hash;                      /* of what it has imported */
    uint64_t generation;                /* of the worker that said so last */
    struct import_link *prev, *next;    /* of the file */
    struct import_link *before, *after; /* of the object */
};

struct import_table {
    struct station *station;
    struct import_file *by_path;
};

struct import_table *import_table_new(struct station *station)
{
    struct import_table *table = calloc(1, sizeof(*table));
    if (!table)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the table of imports");
    table->station = station;
    return table;
}

static void free_file(struct import_table *table, struct import_file *f)
{
    HASH_DEL(table->by_path, f);
    file_checks_drop(&f->check);
    free(f->path);
    free(f);
}

static void unlink_import(struct import_table *table, struct import_link *l)
{
    DL_DELETE(l->file->users, l);
    DL_DELETE2(l->object->imports, l, before, after);
    l->object->import_count--;
    if (!l->file->users)
        free_file(table, l->file);
    free(l);
}

void imports_drop(struct object *o)
{
    while (o->imports)
        unlink_import(o->station->imports, o->imports);
}

void import_table_free(struct import_table *table)
{
    free(table); /* its objects have dropped theirs */
}

/* --- what workers say --- */

/* It names a file, and one below the folder. */
static bool path_is_valid(struct span path)
{
    if (path.len == 0 || path.len >= PATH_MAX || path.data[0] == '/' ||
        memchr(path.data, '\0', path.len))
        return false;
    for (size_t at = 0; at < path.len;) {
        const char *part = path.data + at, *slash = memchr(part, '/', path.len - at);
        size_t len = slash ? (size_t)(slash - part) : path.len - at;
        if (len == 0 || (part[0] == '.' && (len == 1 || (len == 2 && part[1] == '.'))))
            return false;
        at += len + 1;
    }
    return path.data[path.len - 1] != '/';
}

static struct import_file *file_of(struct import_table *table, struct span path)
{
    struct import_file *f;
    HASH_FIND(hh, table->by_path, path.data, path.len, f);
    if (f)
        return f;
    f = calloc(1, sizeof(*f));
    if (f) {
        f->path = span_dup(path);
        f->table = table;
    }
    if (!f || !f->path) {
        free(f);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, table->by_path, f->path, path.len, f);
    if (f->hh.tbl)
        return f;
    free(f->path);
    free(f);
    return NULL;
}

/* Also folders that hold no objects ("_lib/") are watched once something was imported from them. */
static void watch_its_folder(struct import_table *table, const struct import_file *f)
{
    char prefix[PATH_MAX];
    const char *slash = strrchr(f->path, '/');
    if (!slash || !table->station->watch)
        return;
    size_t len = (size_t)(slash - f->path) + 1;
    memcpy(prefix, f->path, len);
    prefix[len] = '\0';
    tree_watch_folder(table->station->watch, prefix);
}

static struct import_link *link_of(struct object *o, struct span path)
{
    struct import_table *table = o->station->imports;
    struct import_file *f = file_of(table, path);
    struct import_link *l;
    if (!f)
        return NULL;
    DL_FOREACH (f->users, l)
        if (l->object == o)
            return l;
    l = o->import_count < o->station->config.imports_object_max ? calloc(1, sizeof(*l)) : NULL;
    if (!l) {
        if (!f->users)
            free_file(table, f);
        return NULL;
    }
    l->file = f;
    l->object = o;
    DL_APPEND(f->users, l);
    DL_APPEND2(o->imports, l, before, after);
    o->import_count++;
    watch_its_folder(table, f);
    return l;
}

bool imports_reported(struct worker *w, struct span payload, const char **reason)
{
    struct rpc_imports m;
    struct rpc_import i;
    *reason = "malformed IMPORTS";
    if (!rpc_imports_decode(payload, &m))
        return false;
    bool is_stale = false;
    struct codec_reader r = codec_reader_of(m.imports.data, m.imports.len);
    while (rpc_import_next(&r, &i)) {
        struct import_link *l = path_is_valid(i.path) ? link_of(w->object, i.path) : NULL;
        if (!l)
            continue;
        l->hash = i.hash;
        l->generation = w->ref.generation;
        is_stale |= i.hash == RPC_IMPORT_STALE;
    }
    if (is_stale) /* written while it was imported */
        saved_import(w->object);
    return true;
}

void imports_settle(struct object *o, uint64_t generation)
{
    struct import_link *l, *next;
    for (l = o->imports; l; l = next) {
        next = l->after;
        if (l->generation < generation)
            unlink_import(o->station->imports, l);
    }
}

/* --- what changes --- */

static uint64_t hash_of(const struct import_table *table, const char *path)
{
    const struct config *c = &table->station->config;
    int err;
    struct source *s = source_read(c->objects_dir, path, c->source_max, &err);
    uint64_t hash = s ? XXH3_64bits(s->text, s->len) : RPC_IMPORT_STALE;
    source_unref(s);
    return hash;
}

static void compare(void *arg)
{
    const struct import_file *f = arg;
    uint64_t hash = hash_of(f->table, f->path);
    const struct import_link *l;
    DL_FOREACH (f->users, l)
        if (l->hash != hash)
            saved_import(l->object);
}

static void file_changed(struct import_table *table, struct import_file *f)
{
    file_checks_ask(table->station->file_checks, &f->check, compare, f);
}

void imports_file_changed(struct import_table *table, const char *path)
{
    struct import_file *f;
    HASH_FIND_STR(table->by_path, path, f);
    if (f)
        file_changed(table, f);
}

void imports_folder_changed(struct import_table *table, const char *prefix)
{
    struct import_file *f, *next;
    HASH_ITER (hh, table->by_path, f, next) {
        if (strncmp(f->path, prefix, strlen(prefix)) != 0)
            continue;
        watch_its_folder(table, f);
        file_changed(table, f);
    }
}
