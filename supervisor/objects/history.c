// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/history.h"

#include "common/tsv.h"
#include "supervisor/versions/version_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void take_newest(struct history *h, const struct version_line *v)
{
    struct buf reason = BUF_INIT;
    h->newest = v->id;
    h->newest_hash = v->hash;
    h->is_rejected = !v->is_accepted;
    tsv_unescape(&reason, v->field[VERSION_REASON]);
    h->reason = h->is_rejected ? buf_take(&reason, NULL) : NULL;
    buf_free(&reason);
}

static void take_ban(struct history *h, struct span reason)
{
    size_t skip = strlen(HISTORY_REJECTS), size = SHA256_TEXT_SIZE - 1;
    if (reason.len < skip + size || memcmp(reason.data, HISTORY_REJECTS, skip) != 0)
        return;
    h->has_ban = sha256_parse((struct span){reason.data + skip, size}, &h->ban);
}

static int read_lines(struct history *h, struct version_log *l)
{
    struct version_line v;
    int got;
    while ((got = version_log_next(l, &v)) == 1) {
        if (h->newest == 0)
            take_newest(h, &v);
        if (!v.is_accepted)
            continue;
        if (h->accepted) {
            h->previous = v.id;
            h->previous_hash = v.hash;
            return 0;
        }
        h->accepted = v.id;
        h->accepted_hash = v.hash;
        take_ban(h, v.field[VERSION_REASON]);
    }
    return got;
}

int history_know(struct history *h, const char *data_dir, const char *object_id)
{
    struct version_log l;
    if (h->is_known)
        return 0;
    history_forget(h);
    int folder = version_folder_open(data_dir, object_id, false);
    int err = folder < 0 ? folder : version_log_open(&l, folder, O_RDONLY);
    if (folder >= 0)
        close(folder);
    if (!err) {
        err = read_lines(h, &l);
        version_log_close(&l);
    }
    if (err == -ENOENT)
        err = 0;
    if (err)
        history_forget(h);
    h->is_known = err == 0;
    return err;
}

void history_forget(struct history *h)
{
    free(h->reason);
    *h = (struct history){0};
}

void history_add(struct history *h, uint64_t version, struct sha256 hash, const char *reason)
{
    free(h->reason);
    h->reason = reason ? strdup(reason) : NULL;
    h->newest = version;
    h->newest_hash = hash;
    h->is_rejected = reason != NULL;
    if (reason)
        return;
    h->has_ban = false;
    h->previous = h->accepted;
    h->previous_hash = h->accepted_hash;
    h->accepted = version;
    h->accepted_hash = hash;
}

bool history_rejects(const struct history *h, struct sha256 hash)
{
    bool is_newest = h->is_rejected && sha256_equal(h->newest_hash, hash);
    return h->is_known && (is_newest || (h->has_ban && sha256_equal(h->ban, hash)));
}

void history_ban(struct history *h, struct sha256 hash)
{
    h->has_ban = true;
    h->ban = hash;
}

bool history_is_rejected(const struct history *h)
{
    return h->is_known && h->is_rejected;
}

static struct source *read_checked(const char *data_dir, const char *object_id, uint64_t version,
                                   struct sha256 hash, int *err)
{
    struct source *s = version_file_read(data_dir, object_id, version, err);
    if (!s || sha256_equal(s->hash, hash))
        return s;
    source_unref(s);
    *err = -EBADMSG;
    return NULL;
}

struct source *history_source(const struct history *h, const char *data_dir, const char *object_id,
                              int *err)
{
    return read_checked(data_dir, object_id, h->accepted, h->accepted_hash, err);
}

struct source *history_previous_source(const struct history *h, const char *data_dir,
                                       const char *object_id, int *err)
{
    return read_checked(data_dir, object_id, h->previous, h->previous_hash, err);
}
