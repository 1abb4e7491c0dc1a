// SPDX-License-Identifier: Apache-2.0
#include "supervisor/crashes/crash_list.h"

#include "common/fd_io.h"
#include "common/json_text.h"
#include "supervisor/crashes/crash_id.h"
#include "supervisor/crashes/crash_store.h"
#include "supervisor/crashes/crash_text.h"
#include "supervisor/scribe/document.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEAD_MAX = 64 * 1024,          /* bytes of a first line */
    REPORT_MAX = 16 * 1024 * 1024, /* far above any that the station makes */
};

/* The first `max` bytes of a report, or all. 0 or -errno. */
static int read_report(int folder, const char *id, size_t max, struct buf *text)
{
    char name[CRASH_NAME_SIZE];
    struct stat st;
    crash_id_file(id, name);
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ELOOP ? -ENOENT : -errno;
    int err = fstat(fd, &st) < 0 ? -errno : 0;
    if (!err && !S_ISREG(st.st_mode))
        err = -ENOENT;
    size_t wanted = !err && (size_t)st.st_size < max ? (size_t)st.st_size : max;
    if (!err && !buf_reserve(text, wanted + 1))
        err = -ENOMEM;
    ssize_t n = err ? 0 : fd_io_read(fd, text->data, wanted);
    close(fd);
    if (n < 0)
        return (int)n;
    text->len = (size_t)n;
    return err;
}

static void put_summary(struct document *d, int folder, const char *id)
{
    struct buf text = BUF_INIT;
    if (read_report(folder, id, HEAD_MAX, &text) == 0 && crash_text_take_head(&text, id))
        buf_append(&d->text, text.data, text.len);
    else
        buf_printf(&d->text, "{\"crash_id\":\"%s\",\"damaged\":true}", id);
    buf_free(&text);
    document_flow(d);
}

static int is_report(const struct dirent *entry)
{
    char id[CRASH_ID_SIZE];
    return crash_id_of_file(entry->d_name, id);
}

static int newest_first(const struct dirent **a, const struct dirent **b)
{
    return crash_id_compare((*b)->d_name, (*a)->d_name);
}

static int put_all(struct document *d, int folder, uint64_t limit, uint64_t *shown)
{
    struct dirent **names;
    char id[CRASH_ID_SIZE];
    int count = scandirat(folder, ".", &names, is_report, newest_first);
    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        if (*shown < limit && crash_id_of_file(names[i]->d_name, id)) {
            buf_puts(&d->text, (*shown)++ ? "," : "");
            put_summary(d, folder, id);
        }
        free(names[i]);
    }
    free(names);
    return 0;
}

static int put_one(struct document *d, int folder, struct span crash_id)
{
    char id[CRASH_ID_SIZE];
    struct buf text = BUF_INIT;
    if (!crash_id_valid(crash_id.data, crash_id.len))
        return -ENOENT;
    snprintf(id, sizeof(id), "%.*s", (int)crash_id.len, crash_id.data);
    int err = read_report(folder, id, REPORT_MAX, &text);
    if (!err && !crash_text_is_sound((struct span){text.data, text.len}, id))
        err = -EBADMSG;
    if (!err)
        buf_append(&d->text, text.data, text.len);
    buf_free(&text);
    return err;
}

static int put(struct document *d, int folder, const struct scribe_rpc_crash_read *m)
{
    uint64_t shown = 0;
    int err = 0;
    if (m->crash_id.len) {
        buf_puts(&d->text, ",\"crash\":");
        err = folder == -ENOENT ? -ENOENT : put_one(d, folder, m->crash_id);
    } else {
        buf_puts(&d->text, ",\"crashes\":[");
        err = folder == -ENOENT ? 0 : put_all(d, folder, m->limit, &shown);
        buf_puts(&d->text, "]");
        json_put_number(&d->text, "count", shown);
    }
    buf_putc(&d->text, '}');
    return err;
}

int crash_list(const char *data_dir, const struct scribe_rpc_crash_read *m, uint64_t *size)
{
    struct document d;
    int folder = crash_store_folder(data_dir, m->object_id);
    if (folder < 0 && folder != -ENOENT)
        return folder;
    document_begin(&d, "crashes");
    buf_puts(&d.text, "{\"status\":\"ok\",\"object_id\":");
    json_put_string(&d.text, m->object_id.data, m->object_id.len);
    int err = put(&d, folder, m);
    if (folder >= 0)
        close(folder);
    if (!err)
        return document_end(&d, size);
    document_drop(&d);
    return err;
}
