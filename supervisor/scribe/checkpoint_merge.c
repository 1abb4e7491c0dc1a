// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/checkpoint_merge.h"

#include "common/failpoint.h"
#include "common/log.h"
#include "supervisor/scribe/merged_state.h"
#include "supervisor/state/journal_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define FILE_NAME "state.tsv"
#define TEMP_NAME "state.tsv.tmp"

struct target {
    UT_hash_handle hh;
    const char *object_id;
    uint64_t after_seq, upto_seq;
    struct overlay overlay;
    int err;
};

/* --- collecting --- */

struct collection {
    struct target *table; /* by object id */
};

static struct target *target_of(struct collection *c, struct span object_id)
{
    struct target *t;
    HASH_FIND(hh, c->table, object_id.data, object_id.len, t);
    return t;
}

static bool wants(void *arg, struct span object_id, uint64_t seq)
{
    struct target *t = target_of(arg, object_id);
    return t && !t->err && seq > t->after_seq && seq <= t->upto_seq;
}

/* Lack of memory for one object is no reason to fail the others. */
static int take_turn(void *arg, const struct journal_reader_turn *turn)
{
    struct target *t = target_of(arg, turn->object_id);
    for (size_t i = 0; t && !t->err && i < turn->write_count; i++) {
        const struct segment_write *w = &turn->writes[i];
        struct span value = w->op == RPC_WRITE_SET ? w->value : (struct span){"", 0};
        t->err = overlay_put(&t->overlay, w->key, value, turn->hlc);
    }
    return 0;
}

static int add_target(struct collection *c, struct target *t)
{
    if (target_of(c, span_of(t->object_id)))
        return -EINVAL; /* asked for twice: the second would wrongly seem to have no records */
    HASH_ADD_KEYPTR(hh, c->table, t->object_id, strlen(t->object_id), t);
    return t->hh.tbl ? 0 : -ENOMEM;
}

static int collect(const char *data_dir, struct target *targets, size_t count)
{
    struct collection c = {0};
    uint64_t after = UINT64_MAX, upto = 0;
    for (size_t i = 0; i < count; i++) {
        struct target *t = &targets[i];
        if (t->err || t->after_seq >= t->upto_seq)
            continue;
        t->err = add_target(&c, t);
        after = t->after_seq < after ? t->after_seq : after;
        upto = t->upto_seq > upto ? t->upto_seq : upto;
    }
    char folder[PATH_MAX], error[PATH_MAX + 256] = "";
    snprintf(folder, sizeof(folder), "%s/journal", data_dir);
    struct journal_reader_sink sink = {.wants = wants, .turn = take_turn, .arg = &c};
    int err = c.table ? journal_read(folder, after, upto, &sink, error, sizeof(error)) : 0;
    if (err)
        log_error("no checkpoints: %s", error);
    HASH_CLEAR(hh, c.table);
    return err;
}

/*
 * What the file itself says counts when it is further than the supervisor knew (an answer that got
 * lost): an older record must not go over a newer value. A file that says less was put there by
 * hand and is taken whole.
 */
static void read_watermark(const char *data_dir, struct target *t)
{
    struct state_file f;
    int fd = merged_state_open_file(data_dir, t->object_id);
    if (fd < 0) {
        t->err = fd == -ENOENT ? 0 : fd;
        return;
    }
    /* damage is reported by the pass that needs the content */
    if (state_file_open(&f, fd) == 0 && f.watermark > t->after_seq)
        t->after_seq = f.watermark;
    state_file_close(&f);
    close(fd);
}

/* --- writing --- */

static int sync_folder(int at, const char *path)
{
    int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return err;
}

/* Opens the folder `name` below `at`, made when missing; a new one is made durable at once. */
static int need_folder(int at, const char *name)
{
    int err = FAILPOINT("checkpoint_mkdir");
    if (err)
        return err;
    if (mkdirat(at, name, 0700) == 0)
        err = sync_folder(at, ".");
    else if (errno != EEXIST)
        err = -errno;
    if (err)
        return err;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int open_object_folder(const char *data_dir, const char *object_id)
{
    int data = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data < 0)
        return -errno;
    int state = need_folder(data, "state");
    int object = state < 0 ? state : need_folder(state, object_id);
    if (state >= 0)
        close(state);
    close(data);
    return object;
}

struct merge {
    const struct target *target;
    int folder;
    int temp;
    uint64_t keys;
};

static int copy_entries(struct merge *m, struct merged_state *from)
{
    struct state_file_writer w;
    struct state_file_entry e;
    int got;
    state_file_write_begin(&w, m->temp, m->target->upto_seq);
    while ((got = merged_state_next(from, &e)) == 1 && !w.err)
        state_file_write_entry(&w, e.key, e.value, e.timestamp);
    m->keys = w.entries;
    int err = state_file_write_end(&w);
    return err ? err : got;
}

/* One attempt to fill the temporary file; called again with sort = true after -EILSEQ. */
static int fill_pass(void *arg, int fd, bool sort)
{
    struct merge *m = arg;
    struct merged_state from;
    if (ftruncate(m->temp, 0) < 0 || lseek(m->temp, 0, SEEK_SET) < 0)
        return -errno;
    int err = merged_state_open(&from, fd, &m->target->overlay, sort);
    if (!err)
        err = copy_entries(m, &from);
    if (err == -EBADMSG)
        log_error("no checkpoint of %s: state/%s/" FILE_NAME ":%llu: %s", m->target->object_id,
                  m->target->object_id, (unsigned long long)from.file.file.line,
                  from.file.file.error);
    merged_state_close(&from);
    return err;
}

static int sync_temp(const struct merge *m)
{
    int err = FAILPOINT("checkpoint_fsync");
    return err ? err : fsync(m->temp) < 0 ? -errno : 0;
}

static int rename_temp(const struct merge *m)
{
    int err = FAILPOINT("checkpoint_rename");
    if (!err && renameat(m->folder, TEMP_NAME, m->folder, FILE_NAME) < 0)
        err = -errno;
    return err;
}

static int sync_rename(const struct merge *m)
{
    int err = FAILPOINT("checkpoint_fsync_folder");
    return err ? err : fsync(m->folder) < 0 ? -errno : 0;
}

static int replace_file(const char *data_dir, struct merge *m)
{
    int err = FAILPOINT("checkpoint_open");
    if (err)
        return err;
    m->temp =
        openat(m->folder, TEMP_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (m->temp < 0)
        return -errno;
    err = merged_state_run(data_dir, m->target->object_id, fill_pass, m);
    if (!err)
        err = FAILPOINT("checkpoint_written");
    if (!err)
        err = sync_temp(m);
    if (!err)
        err = rename_temp(m);
    if (err)
        unlinkat(m->folder, TEMP_NAME, 0);
    else
        err = sync_rename(m);
    close(m->temp);
    return err ? err : FAILPOINT("checkpoint_done");
}

static int write_target(const char *data_dir, struct target *t, uint64_t *keys)
{
    struct merge m = {.target = t, .folder = -1};
    int err = overlay_sort(&t->overlay);
    if (err)
        return err;
    m.folder = open_object_folder(data_dir, t->object_id);
    if (m.folder < 0)
        return m.folder;
    err = replace_file(data_dir, &m);
    close(m.folder);
    *keys = m.keys;
    return err;
}

/* --- an object whose file is complete already --- */

static int count_pass(void *arg, int fd, bool sort)
{
    uint64_t *keys = arg;
    static const struct overlay nothing;
    struct merged_state from;
    struct state_file_entry e;
    *keys = 0;
    int err = merged_state_open(&from, fd, &nothing, sort);
    while (!err && (err = merged_state_next(&from, &e)) == 1) {
        (*keys)++;
        err = 0;
    }
    merged_state_close(&from);
    return err;
}

static int finish_target(const char *data_dir, struct target *t, uint64_t *keys)
{
    if (t->err)
        return t->err;
    if (t->overlay.count > 0)
        return write_target(data_dir, t, keys);
    return merged_state_run(data_dir, t->object_id, count_pass, keys);
}

void checkpoint_merge(const char *data_dir, const struct scribe_checkpoint *objects, size_t count,
                      checkpoint_merge_fn done, void *arg)
{
    struct target *targets = calloc(count ? count : 1, sizeof(*targets));
    for (size_t i = 0; !targets && i < count; i++)
        done(arg, i, -ENOMEM, 0);
    if (!targets)
        return;
    for (size_t i = 0; i < count; i++) {
        targets[i].object_id = objects[i].object_id;
        targets[i].after_seq = objects[i].after_seq;
        targets[i].upto_seq = objects[i].upto_seq;
        read_watermark(data_dir, &targets[i]);
    }
    int err = collect(data_dir, targets, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t keys = 0;
        int result = err ? err : finish_target(data_dir, &targets[i], &keys);
        overlay_free(&targets[i].overlay);
        done(arg, i, result, keys);
    }
    free(targets);
}
