// SPDX-License-Identifier: Apache-2.0
#include "supervisor/versions/version_list.h"

#include "common/json_scan.h"
#include "common/json_text.h"
#include "common/tsv.h"
#include "supervisor/objects/source.h"
#include "supervisor/scribe/document.h"
#include "supervisor/versions/version_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* --- one version --- */

static void put_text(struct buf *out, const char *name, struct span escaped)
{
    struct buf text = BUF_INIT;
    tsv_unescape(&text, escaped);
    json_put_key(out, name);
    json_put_string(out, text.data ? text.data : "", text.len);
    out->failed |= !buf_ok(&text);
    buf_free(&text);
}

/* Seconds are a number; the earlier system may have written another form. */
static void put_timestamp(struct buf *out, struct span text)
{
    if (!text.len || text.data[0] < '0' || text.data[0] > '9' || !json_scan_valid(text)) {
        put_text(out, "timestamp", text);
        return;
    }
    json_put_key(out, "timestamp");
    buf_append(out, text.data, text.len);
}

/* Leaves the object open. */
static void put_version(struct buf *out, const struct version_line *v)
{
    buf_putc(out, '{');
    json_put_number(out, "version_id", v->id);
    put_timestamp(out, v->field[VERSION_TIMESTAMP]);
    put_text(out, "author", v->field[VERSION_AUTHOR]);
    put_text(out, "message", v->field[VERSION_MESSAGE]);
    put_text(out, "hash", v->field[VERSION_HASH]);
    json_put_member(out, "status", v->is_accepted ? "accepted" : "rejected");
    if (v->field[VERSION_REASON].len)
        put_text(out, "reason", v->field[VERSION_REASON]);
}

/* --- a page --- */

static int put_page(struct document *d, struct version_log *l,
                    const struct scribe_rpc_version_list *m, uint64_t *count)
{
    struct version_line v;
    uint64_t skipped = 0;
    int got = 0;
    *count = 0;
    while (*count < m->limit && (got = version_log_next(l, &v)) == 1) {
        if ((m->after && v.id >= m->after) || skipped++ < m->offset)
            continue;
        if ((*count)++)
            buf_putc(&d->text, ',');
        put_version(&d->text, &v);
        buf_putc(&d->text, '}');
        document_flow(d);
    }
    return got < 0 ? got : 0;
}

static int list_folder(struct document *d, const char *data_dir, const char *object_id,
                       const struct scribe_rpc_version_list *m, uint64_t *count)
{
    struct version_log l;
    int folder = version_folder_open(data_dir, object_id, false);
    if (folder < 0)
        return folder == -ENOENT ? 0 : folder;
    int err = version_log_open(&l, folder, O_RDONLY);
    close(folder);
    if (err)
        return err == -ENOENT ? 0 : err;
    err = put_page(d, &l, m, count);
    version_log_close(&l);
    return err;
}

int version_list(const char *data_dir, const struct scribe_rpc_version_list *m, uint64_t *size)
{
    char *object_id = span_dup(m->object_id);
    struct document d;
    uint64_t count = 0;
    if (!object_id)
        return -ENOMEM;
    document_begin(&d, "versions");
    buf_putc(&d.text, '{');
    json_put_member(&d.text, "status", "ok");
    json_put_member(&d.text, "object_id", object_id);
    buf_puts(&d.text, ",\"versions\":[");
    int err = list_folder(&d, data_dir, object_id, m, &count);
    buf_puts(&d.text, "]");
    json_put_number(&d.text, "count", count);
    buf_putc(&d.text, '}');
    free(object_id);
    if (!err)
        return document_end(&d, size);
    document_drop(&d);
    return err;
}

/* --- one with its content --- */

static int find(struct version_log *l, uint64_t id, struct version_line *v)
{
    int got;
    while ((got = version_log_next(l, v)) == 1 && v->id > id)
        ;
    return got < 0 ? got : got == 1 && v->id == id ? 0 : -ENOENT;
}

static struct source *read_content(const char *data_dir, const char *object_id,
                                   const struct version_line *v, int *err)
{
    struct source *s = version_file_read(data_dir, object_id, v->id, err);
    if (s && v->has_hash && !sha256_equal(s->hash, v->hash)) {
        source_unref(s);
        *err = -EBADMSG;
        return NULL;
    }
    if (!s && *err == -ENOENT)
        *err = -EBADMSG; /* its line is there */
    return s;
}

static int show(const char *object_id, const struct version_line *v, const struct source *s,
                bool is_bare, uint64_t *size)
{
    struct document d;
    document_begin(&d, "version");
    if (is_bare) {
        buf_append(&d.text, s->text, s->len);
        return document_end(&d, size);
    }
    buf_putc(&d.text, '{');
    json_put_member(&d.text, "status", "ok");
    json_put_member(&d.text, "object_id", object_id);
    json_put_key(&d.text, "version");
    put_version(&d.text, v);
    json_put_key(&d.text, "content");
    json_put_string(&d.text, s->text, s->len);
    buf_puts(&d.text, "}}");
    return document_end(&d, size);
}

static int show_from(const char *data_dir, const char *object_id, struct version_log *l,
                     const struct scribe_rpc_version_read *m, uint64_t *size)
{
    struct version_line v;
    int err = find(l, m->version, &v);
    if (err)
        return err;
    struct source *s = read_content(data_dir, object_id, &v, &err);
    if (!s)
        return err;
    err = show(object_id, &v, s, m->is_bare, size);
    source_unref(s);
    return err;
}

int version_show(const char *data_dir, const struct scribe_rpc_version_read *m, uint64_t *size)
{
    struct version_log l;
    char *object_id = span_dup(m->object_id);
    int folder = object_id ? version_folder_open(data_dir, object_id, false) : -ENOMEM;
    int err = folder < 0 ? folder : version_log_open(&l, folder, O_RDONLY);
    if (folder >= 0)
        close(folder);
    if (!err) {
        err = show_from(data_dir, object_id, &l, m, size);
        version_log_close(&l);
    }
    free(object_id);
    return err;
}
