// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/state_dump.h"

#include "common/json_scan.h"
#include "common/json_text.h"
#include "common/log.h"
#include "common/state_key.h"
#include "supervisor/scribe/document.h"
#include "supervisor/scribe/merged_state.h"

#include <errno.h>
#include <stdlib.h>

struct dump {
    const struct scribe_rpc_dump *what;
    const char *object_id;
    struct overlay overlay;
    struct document document;
};

static void put_span(struct buf *out, struct span s)
{
    buf_append(out, s.data, s.len);
}

static int report_damage(const struct dump *d, const struct state_file *f, const char *error)
{
    log_error("state of %s is damaged: state/%s/state.tsv:%llu: %s", d->object_id, d->object_id,
              (unsigned long long)f->line, error);
    return -EBADMSG;
}

/* A value that is no JSON would make the whole document unreadable. */
static int check_value(const struct dump *d, const struct merged_state *m,
                       const struct state_file_entry *e)
{
    return json_scan_valid(e->value) ? 0 : report_damage(d, &m->file.file, "value is not JSON");
}

static int put_entries(struct dump *d, struct merged_state *m)
{
    struct buf *out = &d->document.text;
    struct state_file_entry e;
    const char *separator = "{";
    int got;
    while ((got = merged_state_next(m, &e)) == 1 && !d->document.err) {
        if (state_key_is_own(e.key))
            continue;
        int err = check_value(d, m, &e);
        if (err)
            return err;
        buf_puts(out, separator);
        json_put_string(out, e.key.data, e.key.len);
        buf_putc(out, ':');
        put_span(out, e.value);
        document_flow(&d->document);
        separator = ",";
    }
    buf_puts(out, *separator == '{' ? "{}" : "}");
    return got < 0 ? got : 0;
}

static int put_one(struct dump *d, struct merged_state *m)
{
    struct state_file_entry e;
    int got, order = -1;
    if (state_key_is_own(d->what->key))
        return -ENOENT;
    while ((got = merged_state_next(m, &e)) == 1 && order < 0)
        if ((order = sorted_state_compare(e.key, d->what->key)) == 0)
            break;
    if (got < 0 || order != 0)
        return got < 0 ? got : -ENOENT;
    int err = check_value(d, m, &e);
    if (!err)
        put_span(&d->document.text, e.value);
    return err;
}

static int pass(void *arg, int fd, bool sort)
{
    struct dump *d = arg;
    struct merged_state m;
    document_drop(&d->document);
    document_begin(&d->document, "state");
    put_span(&d->document.text, d->what->prefix);
    int err = merged_state_open(&m, fd, &d->overlay, sort);
    if (!err)
        err = d->what->key.len > 0 ? put_one(d, &m) : put_entries(d, &m);
    if (err == -EBADMSG && m.file.file.error && *m.file.file.error)
        report_damage(d, &m.file.file, m.file.file.error);
    merged_state_close(&m);
    put_span(&d->document.text, d->what->suffix);
    return err;
}

int state_dump(const char *data_dir, const struct scribe_rpc_dump *what, uint64_t *size)
{
    struct dump d = {.what = what, .document.fd = -1};
    char *object_id = span_dup(what->object_id);
    int err = object_id ? overlay_put_writes(&d.overlay, what->writes, 0) : -ENOMEM;
    d.object_id = object_id;
    if (!err)
        err = overlay_sort(&d.overlay);
    if (!err)
        err = merged_state_run(data_dir, object_id, pass, &d);
    if (err)
        document_drop(&d.document);
    else
        err = document_end(&d.document, size);
    overlay_free(&d.overlay);
    free(object_id);
    return err;
}
