// SPDX-License-Identifier: Apache-2.0
#include "supervisor/versions/version_store.h"

#include "common/failpoint.h"
#include "common/fd_io.h"
#include "common/log.h"
#include "supervisor/objects/source.h"
#include "supervisor/versions/object_file.h"
#include "supervisor/versions/version_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* One append on its way. */
struct append {
    int folder; /* of the object's history */
    struct version_log log;
    const struct scribe_rpc_version_write *m;
    char *objects_dir, *file; /* file: NULL when none is to be written */
    struct source *before;    /* what the file held; NULL: it cannot be read */
    bool is_new_file;
    uint64_t id;
    off_t end; /* of the whole lines */
    struct buf line;
};

/* --- the content --- */

static int write_content(const struct append *a)
{
    char name[VERSION_NAME_SIZE];
    version_file_name(a->id, name);
    int fd = openat(a->folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int err = FAILPOINT("version-write");
    if (!err)
        err = fd_io_write_at(fd, a->m->content.data, a->m->content.len, 0);
    if (!err && fsync(fd) < 0)
        err = -errno;
    close(fd);
    if (!err && fsync(a->folder) < 0)
        err = -errno;
    return err ? err : FAILPOINT("version-written");
}

static void drop_content(const struct append *a)
{
    char name[VERSION_NAME_SIZE];
    version_file_name(a->id, name);
    unlinkat(a->folder, name, 0);
}

/* --- the line --- */

static int cut_torn_line(struct append *a)
{
    a->end = a->log.whole;
    if (a->log.whole == a->log.size)
        return 0;
    log_warn("versions of %.*s: an unfinished last line was cut off", (int)a->m->object_id.len,
             a->m->object_id.data);
    return ftruncate(a->log.fd, a->log.whole) < 0 ? -errno : 0;
}

static int make_line(struct append *a)
{
    struct version_facts facts = {
        .id = a->id,
        .wall_us = a->m->wall_us,
        .author = a->m->author,
        .message = a->m->message,
        .hash = sha256_of(a->m->content.data, a->m->content.len),
        .is_rejected = a->m->is_rejected,
        .reason = a->m->reason,
    };
    if (a->end == 0)
        buf_puts(&a->line, VERSION_HEADER "\n");
    else if (a->log.lacks_newline)
        buf_putc(&a->line, '\n');
    version_line_put(&a->line, &a->log.columns, &facts);
    if (!buf_ok(&a->line))
        return -ENOMEM;
    /* Room first: once the object's file is in place, only a broken disk can refuse the line. */
    if (fallocate(a->log.fd, FALLOC_FL_KEEP_SIZE, a->end, (off_t)a->line.len) < 0 &&
        (errno == ENOSPC || errno == EDQUOT))
        return -errno;
    return 0;
}

static int write_line(struct append *a)
{
    int err = FAILPOINT("version-line");
#ifdef OBJECTD_FAILPOINTS
    if (!err && fd_io_write_at(a->log.fd, a->line.data, a->line.len / 2, a->end) == 0)
        err = FAILPOINT("version-line-half");
#endif
    if (!err)
        err = fd_io_write_at(a->log.fd, a->line.data, a->line.len, a->end);
    if (!err && fsync(a->log.fd) < 0)
        err = -errno;
    if (!err)
        err = FAILPOINT("version-line-synced");
    if (err && ftruncate(a->log.fd, a->end) < 0)
        log_warn("versions of %.*s: %m", (int)a->m->object_id.len, a->m->object_id.data);
    return err;
}

/* --- the object's file --- */

static int write_file(struct append *a)
{
    int err;
    if (!a->file)
        return 0;
    a->before = source_read(a->objects_dir, a->file, SOURCE_SIZE_MAX, &err);
    a->is_new_file = err == -ENOENT;
    return object_file_write(a->objects_dir, a->file, a->m->content,
                             (enum object_file_expect)a->m->expect, a->m->expected);
}

static bool file_was_replaced(const struct append *a, struct sha256 hash)
{
    int err;
    struct source *now = source_read(a->objects_dir, a->file, SOURCE_SIZE_MAX, &err);
    bool is_ours = now && sha256_equal(now->hash, hash);
    source_unref(now);
    return is_ours;
}

/* There is no version, so the file must not say that there is. */
static void restore_file(struct append *a)
{
    struct sha256 hash = sha256_of(a->m->content.data, a->m->content.len);
    int err = 0;
    if (!a->file || !file_was_replaced(a, hash))
        return;
    if (a->before)
        err = object_file_write(a->objects_dir, a->file,
                                (struct span){a->before->text, a->before->len}, OBJECT_FILE_HASH,
                                hash);
    else if (a->is_new_file)
        err = object_file_remove(a->objects_dir, a->file);
    if (err)
        log_warn("%s cannot be put back as it was: %s", a->file, strerror(-err));
}

/* --- all of it --- */

static int newest_id(struct append *a, uint64_t *id)
{
    struct version_line v;
    int got = version_log_next(&a->log, &v);
    *id = got == 1 ? v.id : 0;
    return got < 0 ? got : 0;
}

static int open_history(struct append *a, const char *data_dir)
{
    char *object_id = span_dup(a->m->object_id);
    uint64_t newest = 0;
    if (!object_id)
        return -ENOMEM;
    a->folder = version_folder_open(data_dir, object_id, true);
    free(object_id);
    if (a->folder < 0)
        return a->folder;
    int err = version_log_open(&a->log, a->folder, O_RDWR | O_CREAT);
    if (err)
        return err;
    err = newest_id(a, &newest);
    a->id = newest + 1;
    return err ? err : cut_torn_line(a);
}

static int append(struct append *a, bool *in_objects)
{
    int err = write_content(a);
    if (!err)
        err = make_line(a);
    if (!err) {
        err = write_file(a);
        *in_objects = err != 0;
    }
    if (!err)
        err = write_line(a);
    if (err) {
        restore_file(a);
        drop_content(a);
    }
    return err;
}

int version_store_append(const char *data_dir, const struct scribe_rpc_version_write *m,
                         uint64_t *id, bool *in_objects)
{
    struct append a = {.folder = -1, .m = m, .log.fd = -1};
    *in_objects = false;
    a.objects_dir = span_dup(m->objects_dir);
    a.file = m->file.len ? span_dup(m->file) : NULL;
    int err = a.objects_dir && (a.file || !m->file.len) ? 0 : -ENOMEM;
    if (!err)
        err = open_history(&a, data_dir);
    if (!err)
        err = append(&a, in_objects);
    *id = err ? 0 : a.id;
    version_log_close(&a.log);
    if (a.folder >= 0)
        close(a.folder);
    source_unref(a.before);
    buf_free(&a.line);
    free(a.objects_dir);
    free(a.file);
    return err;
}
