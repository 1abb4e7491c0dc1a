// SPDX-License-Identifier: Apache-2.0
/*
 * What a start finds: the journal since each object's checkpoint, and the number of the start.
 */
#include "supervisor/state/store_private.h"

#include "common/log.h"
#include "supervisor/state/boot_file.h"
#include "supervisor/state/file_redo.h"
#include "supervisor/state/timer_image.h"

#include <errno.h>
#include <stdio.h>

/*
 * Which of its records its checkpoint lacks cannot be told: all of them stay in the journal and in
 * its memtable, and the object is refused until a start that can read the file.
 */
static void refuse_object(struct object_state *o, int err)
{
    log_error("object %s is refused until its state.tsv is repaired and the station started again; "
              "the journal keeps its records",
              o->id);
    o->file_err = err;
    o->retry_ns = UINT64_MAX;
}

static bool replay_wants(void *arg, struct span object_id, uint64_t seq)
{
    struct store *store = arg;
    struct object_state *o = store->replayed;
    if (!o || !span_equal(object_id, o->id))
        o = store_object_get(store, object_id);
    int err = o ? object_state_read_file(o, store->data_dir) : -ENOMEM;
    if (o && err && err != -ENOMEM && !o->file_err)
        refuse_object(o, err);
    store->replay_err = err == -ENOMEM ? err : 0;
    store->replayed = o;
    return store->replay_err || seq > o->watermark; /* an error: replay_turn() returns it */
}

static int replay_turn(void *arg, const struct journal_reader_turn *turn)
{
    struct store *store = arg;
    if (store->replay_err)
        return store->replay_err;
    struct object_state *o = store->replayed;
    for (size_t i = 0; i < turn->write_count; i++) {
        const struct segment_write *w = &turn->writes[i];
        struct memtable_entry *entry = memtable_reserve(&o->active, w->key, w->value.len);
        if (!entry)
            return -ENOMEM;
        memtable_put(&o->active, entry, w->op, w->value, turn->seq);
    }
    o->newest = turn->seq;
    return 0;
}

static int replay_files(void *arg, const struct segment_turn *turn,
                        const struct segment_file *files, size_t count)
{
    struct store *store = arg;
    if (!store->file_redo && !(store->file_redo = file_redo_new()))
        return -ENOMEM;
    int err = 0;
    for (size_t i = 0; !err && i < count; i++)
        err = file_redo_add(store->file_redo, turn->object_id, turn->seq, &files[i]);
    return err;
}

static int replay_timers(void *arg, const struct segment_turn *turn,
                         const struct segment_timer *timers, size_t count)
{
    struct store *store = arg;
    return timer_image_apply(store->timers, turn, timers, count);
}

/* The number of this start and the highest record number ever given, made durable. */
static int next_boot(struct store *store, const struct recovery *found, uint64_t *floor_seq,
                     char *error, size_t error_size)
{
    struct boot_file boot;
    int err = boot_file_read(store->data_fd, &boot);
    if (err == -EBADMSG)
        log_warn("%s/boot cannot be understood; going on from the journal", store->data_dir);
    else if (err)
        goto failed;
    if (found->max_boot > boot.boot)
        boot.boot = found->max_boot;
    if (found->floor_seq > boot.seq)
        boot.seq = found->floor_seq;
    boot.boot++;
    store->boot = boot.boot;
    *floor_seq = boot.seq;
    err = boot_file_write(store->data_fd, &boot);
    if (!err)
        return 0;
failed:
    snprintf(error, error_size, "%s/boot: %s", store->data_dir, strerror(-err));
    return err;
}

int store_recover(struct store *store, struct recovery *found, uint64_t *floor_seq, char *error,
                  size_t error_size)
{
    const struct journal_reader_sink sink = {.wants = replay_wants,
                                             .turn = replay_turn,
                                             .files = replay_files,
                                             .timers = replay_timers,
                                             .arg = store};
    int err = timer_image_load(&store->timers, store->data_dir, error, error_size);
    if (err)
        return err;
    err = recovery_scan(store->folder_fd, store->folder, &sink, found, error, error_size);
    if (!err)
        err = next_boot(store, found, floor_seq, error, error_size);
    if (!err)
        err = recovery_cut(store->folder_fd, store->folder, found, error, error_size);
    return err;
}
