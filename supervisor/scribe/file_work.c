// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/file_work.h"

#include "common/failpoint.h"
#include "common/file_store.h"
#include "common/json_text.h"
#include "common/log.h"
#include "supervisor/scribe/document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct work {
    const struct scribe_rpc_files *m;
    char *object_id;
    int staging, folder; /* folder: of the object, -1 when there is none */
    char name[FILE_STORE_NAME_MAX + 1], token[FILE_STORE_TOKEN_MAX + 1]; /* of the present change */
};

static void copy_text(char *out, struct span s)
{
    memcpy(out, s.data, s.len);
    out[s.len] = '\0';
}

/* Calls step for every change; what it returns other than 0 ends that. */
static int each_change(struct work *w, int (*step)(struct work *w, const struct rpc_file *f))
{
    struct codec_reader r = codec_reader_of(w->m->files.files.data, w->m->files.files.len);
    struct rpc_file f;
    int err = 0;
    while (!err && rpc_file_next(&r, &f)) {
        copy_text(w->name, f.name);
        copy_text(w->token, f.token);
        err = step(w, &f);
    }
    return err;
}

static int sync_folder(int fd)
{
    return fsync(fd) < 0 ? -errno : 0;
}

/* --- SYNC --- */

struct usage {
    uint64_t bytes, count;
};

static int add_usage(void *arg, const char *name, const struct stat *st)
{
    struct usage *u = arg;
    (void)name;
    u->bytes += (uint64_t)st->st_size;
    u->count++;
    return 0;
}

static int check_limits(struct work *w, enum scribe_files_limit *limit)
{
    struct usage u = {0};
    int err = w->folder < 0 ? 0 : file_store_each(w->folder, add_usage, &u);
    struct codec_reader r = codec_reader_of(w->m->files.files.data, w->m->files.files.len);
    struct rpc_file f;
    while (!err && rpc_file_next(&r, &f)) {
        struct stat old;
        copy_text(w->name, f.name);
        if (w->folder >= 0 && file_store_stat(w->folder, w->name, &old) == 0) {
            u.bytes -= (uint64_t)old.st_size;
            u.count--;
        }
        u.bytes += f.size;
        u.count++;
    }
    if (!err && u.bytes > w->m->bytes_max)
        *limit = SCRIBE_FILES_BYTES;
    else if (!err && u.count > w->m->count_max)
        *limit = SCRIBE_FILES_COUNT;
    return err ? err : *limit ? -EDQUOT : 0;
}

/* Would the name of this change be taken by something that is no file? */
static bool is_blocked(const struct work *w)
{
    struct stat st;
    return w->folder >= 0 && fstatat(w->folder, w->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode);
}

static int sync_one(struct work *w, const struct rpc_file *f)
{
    struct stat st;
    if (is_blocked(w))
        return -EISDIR;
    int fd = file_store_read(w->staging, w->token, &st);
    if (fd < 0)
        return fd;
    int err = (uint64_t)st.st_size == f->size ? FAILPOINT("files-sync") : -EBADMSG;
    if (!err && fsync(fd) < 0)
        err = -errno;
    close(fd);
    return err;
}

static int run_sync(struct work *w, enum scribe_files_limit *limit)
{
    int err = check_limits(w, limit);
    if (!err)
        err = each_change(w, sync_one);
    if (!err)
        err = sync_folder(w->staging);
    return err ? err : FAILPOINT("files-synced");
}

/* --- APPLY --- */

static int show(struct work *w)
{
    if (renameat(w->staging, w->token, w->folder, w->name) == 0)
        return FAILPOINT("files-renamed");
    if (errno == ENOENT)
        return 0; /* done before */
    if (errno != EISDIR && errno != ENOTEMPTY)
        return -errno;
    log_warn("files of %s: a folder stands in the way of %s, which is given up", w->object_id,
             w->name);
    unlinkat(w->staging, w->token, 0);
    return 0;
}

static int hide(struct work *w)
{
    if (unlinkat(w->folder, w->name, 0) == 0)
        return FAILPOINT("files-deleted");
    if (errno == ENOENT || errno == EISDIR)
        return 0;
    return -errno;
}

static int apply_one(struct work *w, const struct rpc_file *f)
{
    return f->op == RPC_FILE_PUT ? show(w) : hide(w);
}

static int run_apply(struct work *w)
{
    int err = FAILPOINT("files-apply");
    if (!err)
        err = each_change(w, apply_one);
    if (!err)
        err = sync_folder(w->folder);
    if (!err)
        err = sync_folder(w->staging);
    return err ? err : FAILPOINT("files-applied");
}

/* --- DROP and SWEEP --- */

static int drop_one(struct work *w, const struct rpc_file *f)
{
    (void)f;
    return unlinkat(w->staging, w->token, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static bool is_kept(const struct work *w, const char *token)
{
    struct codec_reader r = codec_reader_of(w->m->files.files.data, w->m->files.files.len);
    struct rpc_file f;
    while (rpc_file_next(&r, &f))
        if (span_equal(f.token, token))
            return true;
    return false;
}

static int sweep_one(void *arg, const char *token, const struct stat *st)
{
    struct work *w = arg;
    (void)st;
    if (strncmp(token, w->m->owner.data, w->m->owner.len) != 0 || is_kept(w, token))
        return 0;
    return unlinkat(w->staging, token, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* --- all of them --- */

static int run(struct work *w, enum scribe_files_limit *limit)
{
    switch (w->m->action) {
    case SCRIBE_FILES_SYNC:
        return run_sync(w, limit);
    case SCRIBE_FILES_APPLY:
        return run_apply(w);
    case SCRIBE_FILES_DROP:
        return each_change(w, drop_one);
    case SCRIBE_FILES_SWEEP:
        return file_store_each(w->staging, sweep_one, w);
    default:
        return -EINVAL;
    }
}

static int open_folders(struct work *w, int store)
{
    w->staging = file_store_folder(store, FILE_STORE_STAGING, true);
    if (w->staging < 0)
        return w->staging;
    bool create = w->m->action == SCRIBE_FILES_APPLY;
    w->folder = file_store_folder(store, w->object_id, create);
    return w->folder < 0 && (create || w->folder != -ENOENT) ? w->folder : 0;
}

int file_work_run(const char *data_dir, const struct scribe_rpc_files *m,
                  enum scribe_files_limit *limit)
{
    struct work w = {.m = m, .object_id = span_dup(m->object_id), .staging = -1, .folder = -1};
    *limit = SCRIBE_FILES_FINE;
    int store = file_store_open(data_dir, true);
    int err = store < 0 ? store : w.object_id ? open_folders(&w, store) : -ENOMEM;
    if (!err)
        err = run(&w, limit);
    if (w.folder >= 0)
        close(w.folder);
    if (w.staging >= 0)
        close(w.staging);
    if (store >= 0)
        close(store);
    free(w.object_id);
    return err;
}

/* --- the list --- */

struct listing {
    struct entry {
        char *name;
        uint64_t size;
        char modified[FILE_STORE_TIME_SIZE];
    } * entries;
    size_t count, cap;
};

static int add_entry(void *arg, const char *name, const struct stat *st)
{
    struct listing *l = arg;
    if (l->count == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        void *grown = realloc(l->entries, cap * sizeof(l->entries[0]));
        if (!grown)
            return -ENOMEM;
        l->entries = grown;
        l->cap = cap;
    }
    struct entry *e = &l->entries[l->count];
    *e = (struct entry){.name = strdup(name), .size = (uint64_t)st->st_size};
    if (!e->name)
        return -ENOMEM;
    file_store_modified(st, e->modified);
    l->count++;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int gather(struct listing *l, const char *data_dir, const char *object_id)
{
    int store = file_store_open(data_dir, false);
    if (store < 0)
        return store == -ENOENT ? 0 : store;
    int folder = file_store_folder(store, object_id, false);
    int err = folder < 0 ? folder : file_store_each(folder, add_entry, l);
    if (folder >= 0)
        close(folder);
    close(store);
    if (l->count)
        qsort(l->entries, l->count, sizeof(l->entries[0]), by_name);
    return err == -ENOENT ? 0 : err;
}

static int write_list(const struct listing *l, const char *object_id, uint64_t *size)
{
    struct document d;
    document_begin(&d, "files");
    buf_putc(&d.text, '{');
    json_put_member(&d.text, "status", "ok");
    json_put_member(&d.text, "object_id", object_id);
    buf_puts(&d.text, ",\"files\":[");
    for (size_t i = 0; i < l->count; i++) {
        const struct entry *e = &l->entries[i];
        buf_puts(&d.text, i ? ",{" : "{");
        json_put_member(&d.text, "name", e->name);
        json_put_number(&d.text, "size", e->size);
        json_put_member(&d.text, "modified", e->modified);
        buf_putc(&d.text, '}');
        document_flow(&d);
    }
    buf_printf(&d.text, "],\"count\":%zu}", l->count);
    return document_end(&d, size);
}

int file_work_list(const char *data_dir, struct span object_id, uint64_t *size)
{
    struct listing l = {0};
    char *id = span_dup(object_id);
    int err = id ? gather(&l, data_dir, id) : -ENOMEM;
    int result = err ? err : write_list(&l, id, size);
    for (size_t i = 0; i < l.count; i++)
        free(l.entries[i].name);
    free(l.entries);
    free(id);
    return result;
}
