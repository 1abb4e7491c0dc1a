// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/checkpoint_merge.h"

#include "common/log.h"
#include "common/seeded_hash.h"
#include "supervisor/scribe/checkpoint_group.h"
#include "supervisor/scribe/merged_state.h"
#include "supervisor/state/journal_reader.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

/* An object without newer records, or one that failed already, is answered at once. */
static void finish_target(struct checkpoint_group *g, struct target *t, size_t index,
                          checkpoint_merge_fn done, void *arg)
{
    uint64_t keys = 0;
    if (!t->err && t->overlay.count > 0)
        t->err = overlay_sort(&t->overlay);
    if (!t->err && t->overlay.count > 0) {
        checkpoint_group_add(g, index, t->object_id, t->upto_seq, &t->overlay);
        return;
    }
    if (!t->err)
        t->err = merged_state_run(g->data_dir, t->object_id, count_pass, &keys);
    done(arg, index, t->err, keys);
}

static void free_targets(struct target *targets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        overlay_free(&targets[i].overlay);
    free(targets);
}

void checkpoint_merge(const char *data_dir, const struct scribe_checkpoint *objects, size_t count,
                      checkpoint_merge_fn done, void *arg)
{
    struct checkpoint_group group = {.data_dir = data_dir};
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
        targets[i].err = err ? err : targets[i].err;
        finish_target(&group, &targets[i], i, done, arg);
        if (checkpoint_group_is_full(&group))
            checkpoint_group_commit(&group, done, arg);
    }
    checkpoint_group_commit(&group, done, arg);
    free_targets(targets, count);
}
