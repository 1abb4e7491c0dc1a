// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/checkpoint_group.h"

#include "common/failpoint.h"
#include "common/log.h"
#include "supervisor/scribe/merged_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "state.tsv"
#define TEMP_NAME "state.tsv.tmp"

enum { GROUP_BYTES = 32 * 1024 * 1024 };

/* --- filling --- */

/* Opens the folder `name` below `at`, made when missing. */
static int need_folder(int at, const char *name, bool *is_new)
{
    int err = FAILPOINT("checkpoint_mkdir");
    if (err)
        return err;
    *is_new = mkdirat(at, name, 0700) == 0;
    if (!*is_new && errno != EEXIST)
        return -errno;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int open_state_folder(const char *data_dir)
{
    bool is_new;
    int data = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data < 0)
        return -errno;
    int state = need_folder(data, "state", &is_new);
    if (state >= 0 && is_new && fsync(data) < 0) {
        int err = -errno;
        close(state);
        state = err;
    }
    close(data);
    return state;
}

static int open_files(const char *data_dir, struct checkpoint_item *item)
{
    int state = open_state_folder(data_dir);
    if (state < 0)
        return state;
    item->folder = need_folder(state, item->object_id, &item->is_new);
    close(state);
    if (item->folder < 0)
        return item->folder;
    int err = FAILPOINT("checkpoint_open");
    if (err)
        return err;
    item->temp = openat(item->folder, TEMP_NAME,
                        O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    return item->temp < 0 ? -errno : 0;
}

static int copy_entries(struct checkpoint_item *item, struct merged_state *from)
{
    struct state_file_writer w;
    struct state_file_entry e;
    int got;
    state_file_write_begin(&w, item->temp, item->upto_seq);
    while ((got = merged_state_next(from, &e)) == 1 && !w.err)
        state_file_write_entry(&w, e.key, e.value, e.timestamp);
    item->keys = w.entries;
    int err = state_file_write_end(&w);
    return err ? err : got;
}

/* One attempt to fill the temporary file; called again with sort = true after -EILSEQ. */
static int fill_pass(void *arg, int fd, bool sort)
{
    struct checkpoint_item *item = arg;
    struct merged_state from;
    if (ftruncate(item->temp, 0) < 0 || lseek(item->temp, 0, SEEK_SET) < 0)
        return -errno;
    int err = merged_state_open(&from, fd, item->overlay, sort);
    if (!err)
        err = copy_entries(item, &from);
    if (err == -EBADMSG)
        log_error("no checkpoint of %s: state/%s/" FILE_NAME ":%llu: %s", item->object_id,
                  item->object_id, (unsigned long long)from.file.file.line, from.file.file.error);
    merged_state_close(&from);
    return err;
}

void checkpoint_group_add(struct checkpoint_group *g, size_t index, const char *object_id,
                          uint64_t upto_seq, const struct overlay *overlay)
{
    struct checkpoint_item *item = &g->items[g->count++];
    *item = (struct checkpoint_item){.index = index,
                                     .object_id = object_id,
                                     .upto_seq = upto_seq,
                                     .overlay = overlay,
                                     .folder = -1,
                                     .temp = -1};
    item->err = open_files(g->data_dir, item);
    if (!item->err)
        item->err = merged_state_run(g->data_dir, object_id, fill_pass, item);
    if (!item->err)
        item->err = FAILPOINT("checkpoint_written");
    if (item->err)
        return;
    /* no promise yet: the disk may begin while the next file is being filled */
    sync_file_range(item->temp, 0, 0, SYNC_FILE_RANGE_WRITE);
    g->bytes += (uint64_t)lseek(item->temp, 0, SEEK_CUR);
}

bool checkpoint_group_is_full(const struct checkpoint_group *g)
{
    return g->count == CHECKPOINT_GROUP_MAX || g->bytes >= GROUP_BYTES;
}

/* --- making durable --- */

static int sync_temp(struct checkpoint_item *item)
{
    int err = FAILPOINT("checkpoint_fsync");
    return err ? err : fsync(item->temp) < 0 ? -errno : 0;
}

static int rename_temp(struct checkpoint_item *item)
{
    int err = FAILPOINT("checkpoint_rename");
    if (!err && renameat(item->folder, TEMP_NAME, item->folder, FILE_NAME) < 0)
        err = -errno;
    item->is_renamed = !err;
    return err;
}

static int sync_rename(struct checkpoint_item *item)
{
    int err = FAILPOINT("checkpoint_fsync_folder");
    return err ? err : fsync(item->folder) < 0 ? -errno : 0;
}

static int finish(struct checkpoint_item *item)
{
    (void)item;
    return FAILPOINT("checkpoint_done");
}

/* A new folder is an entry of its parent, made durable once for all of them. */
static void sync_new_folders(struct checkpoint_group *g)
{
    bool any = false;
    for (size_t i = 0; i < g->count; i++)
        any = any || g->items[i].is_new;
    int state = any ? open_state_folder(g->data_dir) : -1;
    int err = any && state < 0 ? state : any && fsync(state) < 0 ? -errno : 0;
    if (state >= 0)
        close(state);
    for (size_t i = 0; err && i < g->count; i++)
        if (g->items[i].is_new && !g->items[i].err)
            g->items[i].err = err;
}

static void close_files(struct checkpoint_item *item)
{
    if (item->temp >= 0 && !item->is_renamed)
        unlinkat(item->folder, TEMP_NAME, 0);
    if (item->temp >= 0)
        close(item->temp);
    if (item->folder >= 0)
        close(item->folder);
}

void checkpoint_group_commit(struct checkpoint_group *g, checkpoint_merge_fn done, void *arg)
{
    static int (*const steps[])(struct checkpoint_item *) = {sync_temp, rename_temp, sync_rename,
                                                             finish};
    sync_new_folders(g);
    for (size_t step = 0; step < sizeof(steps) / sizeof(steps[0]); step++)
        for (size_t i = 0; i < g->count; i++)
            if (!g->items[i].err)
                g->items[i].err = steps[step](&g->items[i]);
    for (size_t i = 0; i < g->count; i++) {
        struct checkpoint_item *item = &g->items[i];
        close_files(item);
        done(arg, item->index, item->err, item->keys);
    }
    g->count = 0;
    g->bytes = 0;
}
