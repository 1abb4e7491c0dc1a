// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/store.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/state/file_redo.h"
#include "supervisor/state/store_private.h"
#include "supervisor/state/timer_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES_KEPT = 4096 };

/* --- objects --- */

static struct object_state *find_object(const struct store *store, struct span id)
{
    struct object_state *o;
    HASH_FIND(hh, store->objects, id.data, id.len, o);
    return o;
}

static void free_object(struct object_state *o)
{
    memtable_clear(&o->active);
    memtable_clear(&o->frozen);
    free(o->id);
    free(o);
}

static struct object_state *add_object(struct store *store, struct span id)
{
    struct object_state *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->id = span_dup(id);
    if (o->id)
        HASH_ADD_KEYPTR(hh, store->objects, o->id, id.len, o);
    if (o->id && o->hh.tbl)
        return o;
    free_object(o);
    return NULL;
}

struct object_state *store_object_get(struct store *store, struct span id)
{
    struct object_state *o = find_object(store, id);
    return o ? o : add_object(store, id);
}

struct object_state *store_object(struct store *store, const char *object_id)
{
    return store_object_get(store, span_of(object_id));
}

/*
 * Looks at the object's checkpoint file before its first use: most objects of a station are never
 * used in one run.
 *
 * A checkpoint may be newer than the journal where records were lost that had only been written
 * (durability interval or none) or the journal was removed by hand. New records must then get
 * numbers above it, or they would be taken for old ones.
 */
static int prepare_object(struct store *store, struct object_state *o)
{
    if (o->file_read)
        return 0;
    int err = object_state_read_file(o, store->data_dir);
    if (!err)
        journal_skip(store->journal, o->watermark);
    return err;
}

int store_readable(struct store *store, struct object_state *object)
{
    return prepare_object(store, object);
}

uint64_t store_newest(const struct object_state *object)
{
    return object->newest;
}

uint64_t store_durable(const struct store *store)
{
    return journal_durable(store->journal);
}

uint64_t store_key_estimate(struct store *store, struct object_state *object)
{
    if (prepare_object(store, object) < 0)
        return 0; /* logged */
    return object->keys + object->active.count + object->frozen.count;
}

/* --- commit --- */

static bool entries_reserve(struct store *store, size_t count)
{
    if (count <= store->entries_cap)
        return true;
    void *grown = realloc(store->entries, count * sizeof(store->entries[0]));
    if (!grown)
        return false;
    store->entries = grown;
    store->entries_cap = count;
    return true;
}

static int reserve_writes(struct store *store, struct memtable *m, struct span writes,
                          uint32_t count)
{
    if (!entries_reserve(store, count))
        return -ENOMEM;
    struct codec_reader r = codec_reader_of(writes.data, writes.len);
    struct rpc_write w;
    for (uint32_t i = 0; i < count && rpc_write_next(&r, &w); i++) {
        store->entries[i] = memtable_reserve(m, w.key, w.value.len);
        if (!store->entries[i])
            return -ENOMEM;
    }
    return 0;
}

static void apply_writes(struct store *store, struct memtable *m, struct span writes,
                         uint32_t count, uint64_t seq)
{
    struct codec_reader r = codec_reader_of(writes.data, writes.len);
    struct rpc_write w;
    for (uint32_t i = 0; i < count && rpc_write_next(&r, &w); i++)
        memtable_put(m, store->entries[i], w.op, w.value, seq);
    if (store->entries_cap > ENTRIES_KEPT) {
        free(store->entries);
        store->entries = NULL;
        store->entries_cap = 0;
    }
}

int store_commit(struct store *store, struct object_state *object, struct span request_id,
                 struct span writes, uint32_t write_count, uint64_t *seq)
{
    struct store_turn turn = {
        .request_id = request_id, .writes = writes, .write_count = write_count};
    return store_commit_turn(store, object, &turn, seq);
}

static uint64_t payload_of(struct span writes, uint32_t write_count)
{
    return writes.len - (uint64_t)write_count * RPC_WRITE_MIN;
}

bool store_would_take(const struct store *store, struct span writes, uint32_t write_count)
{
    return payload_of(writes, write_count) <= store->turn_writes_max;
}

int store_commit_turn(struct store *store, struct object_state *object,
                      const struct store_turn *turn, uint64_t *seq)
{
    struct span writes = turn->writes;
    uint32_t write_count = turn->write_count;
    *seq = object->newest;
    if (write_count == 0 && turn->files.count == 0 && turn->files_done == 0 &&
        turn->timer_count == 0)
        return 0;
    uint64_t payload = payload_of(writes, write_count) + turn->timers.len;
    if (payload > store->turn_writes_max)
        return -EFBIG;
    if (journal_refuses(store->journal, payload))
        return -ENOSPC;
    int err = prepare_object(store, object);
    if (!err)
        err = reserve_writes(store, &object->active, writes, write_count);
    if (err)
        return err;
    struct record_turn record = {.object_id = span_of(object->id),
                                 .request_id = turn->request_id,
                                 .writes = writes,
                                 .write_count = write_count,
                                 .files = turn->files,
                                 .files_done = turn->files_done,
                                 .timers = turn->timers,
                                 .timer_count = turn->timer_count};
    err = journal_append(store->journal, &record, seq);
    if (err)
        return err;
    apply_writes(store, &object->active, writes, write_count, *seq);
    object->newest = *seq;
    if (write_count)
        checkpoint_wrote(store->checkpoint, object);
    return 0;
}

/* --- reading --- */

static uint32_t encode_all(const struct object_state *object, struct buf *out)
{
    memtable_encode(&object->frozen, out);
    memtable_encode(&object->active, out);
    return (uint32_t)(object->frozen.count + object->active.count);
}

int store_snapshot(struct store *store, struct object_state *object, int *checkpoint_fd,
                   struct buf *writes, uint32_t *write_count)
{
    *checkpoint_fd = -1;
    int err = prepare_object(store, object);
    if (err)
        return err;
    uint64_t count = object->frozen.count + object->active.count;
    if (count > UINT32_MAX)
        return -EOVERFLOW;
    *write_count = encode_all(object, writes);
    if (!buf_ok(writes))
        return -ENOMEM;
    int fd = object_state_open_file(store->data_dir, object->id);
    if (fd < 0 && fd != -ENOENT)
        return fd;
    *checkpoint_fd = fd < 0 ? -1 : fd;
    return 0;
}

static uint32_t encode_key(const struct object_state *object, struct span key, struct buf *out)
{
    struct rpc_write w = {.key = key};
    if (!memtable_get(&object->active, key, &w.op, &w.value) &&
        !memtable_get(&object->frozen, key, &w.op, &w.value))
        return 0;
    rpc_write_encode(out, &w);
    return 1;
}

void store_dump(struct store *store, struct object_state *object, const struct span *key,
                const char *prefix, const char *suffix, store_dump_fn done, void *arg)
{
    if (!store->scribe) {
        done(arg, -EPIPE, -1, 0);
        return;
    }
    struct buf writes = BUF_INIT;
    uint32_t count = key ? encode_key(object, *key, &writes) : encode_all(object, &writes);
    if (buf_ok(&writes))
        scribe_dump(store->scribe, object->id, key, (struct span){writes.data, writes.len}, count,
                    prefix, suffix, done, arg);
    else
        done(arg, -ENOMEM, -1, 0);
    buf_free(&writes);
}

/* --- what was recovered for others, and what they keep --- */

struct file_redo *store_take_file_redo(struct store *store)
{
    struct file_redo *redo = store->file_redo;
    store->file_redo = NULL;
    return redo;
}

struct timer_image *store_take_timers(struct store *store)
{
    struct timer_image *timers = store->timers;
    store->timers = NULL;
    return timers;
}

void store_keep_from(struct store *store, enum store_keeper who, uint64_t seq)
{
    uint64_t oldest = 0;
    store->keep_from[who] = seq;
    for (size_t i = 0; i < STORE_KEEPERS; i++)
        if (store->keep_from[i] && (oldest == 0 || store->keep_from[i] < oldest))
            oldest = store->keep_from[i];
    checkpoint_keep_from(store->checkpoint, oldest);
}

bool store_is_pressed(const struct store *store)
{
    return journal_closed_bytes(store->journal) > store->journal_max;
}

/* --- opening and closing --- */

static int open_folder(const char *path, char *error, size_t error_size)
{
    int fd = -1;
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
    return fd;
}

static bool open_folders(struct store *store, char *error, size_t error_size)
{
    store->data_fd = open_folder(store->data_dir, error, error_size);
    if (store->data_fd < 0)
        return false;
    store->folder_fd = open_folder(store->folder, error, error_size);
    if (store->folder_fd < 0)
        return false;
    if (fsync(store->data_fd) == 0)
        return true;
    snprintf(error, error_size, "%s: fsync: %s", store->data_dir, strerror(errno));
    return false;
}

static void on_journal_durable(void *arg)
{
    struct store *store = arg;
    checkpoint_durable(store->checkpoint);
    store->on_durable(store->arg);
}

static void on_round(void *arg)
{
    struct store *store = arg;
    journal_round(store->journal);
}

static bool start(struct store *store, const struct config *config, const struct recovery *found,
                  uint64_t floor_seq)
{
    const struct journal_options options = {.loop = store->loop,
                                            .folder = store->folder,
                                            .folder_fd = store->folder_fd,
                                            .station = store->station,
                                            .boot = store->boot,
                                            .durability = config->durability,
                                            .sync_interval_ns = config->sync_interval_ns,
                                            .segment_size = config->segment_size,
                                            .on_durable = on_journal_durable,
                                            .arg = store};
    store->journal = journal_open(&options, found, floor_seq);
    if (store->journal)
        store->checkpoint = checkpoint_new(store->loop, config, store->scribe, store->journal);
    if (!store->checkpoint)
        return false;
    journal_skip(store->journal, store->timers->seq);
    for (struct object_state *o = store->objects; o; o = o->hh.next) {
        journal_skip(store->journal, o->watermark);
        if (!memtable_empty(&o->active))
            checkpoint_wrote(store->checkpoint, o);
    }
    loop_set_hook(store->loop, LOOP_RANK_STORE, on_round, store);
    return true;
}

static void free_store(struct store *store)
{
    struct object_state *o = store->objects;
    /* Ours alone: no need to take them out of the table one by one. */
    struct object_state *next = NULL;
    HASH_CLEAR(hh, store->objects);
    for (; o; o = next) {
        next = o->hh.next;
        free_object(o);
    }
    checkpoint_free(store->checkpoint);
    journal_close(store->journal);
    if (store->folder_fd >= 0)
        close(store->folder_fd);
    if (store->data_fd >= 0)
        close(store->data_fd);
    free(store->entries);
    file_redo_free(store->file_redo);
    timer_image_free(store->timers);
    free(store->data_dir);
    free(store->folder);
    free(store->station);
    free(store);
}

static void take_limits(struct store *store, const struct config *config)
{
    store->turn_writes_max = config->turn_writes_max;
    store->journal_max = config->journal_max;
}

void store_configure(struct store *store, const struct config *config)
{
    take_limits(store, config);
    journal_configure(store->journal, config->sync_interval_ns, config->segment_size);
    checkpoint_configure(store->checkpoint, config);
}

static struct store *new_store(struct loop *loop, const struct config *config,
                               struct scribe *scribe)
{
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        return NULL;
    store->loop = loop;
    store->scribe = scribe;
    store->durability = config->durability;
    take_limits(store, config);
    store->data_fd = store->folder_fd = -1;
    store->data_dir = strdup(config->data_dir);
    store->station = strdup(config->station_id);
    if (asprintf(&store->folder, "%s/journal", config->data_dir) < 0)
        store->folder = NULL;
    if (store->data_dir && store->station && store->folder)
        return store;
    free_store(store);
    return NULL;
}

static void report_recovery(const struct store *store, const struct recovery *found,
                            uint64_t started_ns, struct store_report *report)
{
    *report = (struct store_report){.boot = store->boot,
                                    .records = found->records,
                                    .torn_bytes = found->torn_bytes,
                                    .elapsed_ns = clock_mono_ns() - started_ns};
    snprintf(report->torn_at, sizeof(report->torn_at), "%s", found->torn_at);
}

struct store *store_open(struct loop *loop, const struct config *config, struct scribe *scribe,
                         void (*on_durable)(void *arg), void *arg, struct store_report *report,
                         char *error, size_t error_size)
{
    uint64_t started_ns = clock_mono_ns(), floor_seq = 0;
    struct store *store = new_store(loop, config, scribe);
    if (!store) {
        snprintf(error, error_size, "no memory for the store");
        return NULL;
    }
    store->on_durable = on_durable;
    store->arg = arg;
    struct recovery found = {0};
    bool ok = open_folders(store, error, error_size) &&
              store_recover(store, &found, &floor_seq, error, error_size) == 0;
    if (ok && !start(store, config, &found, floor_seq)) {
        snprintf(error, error_size, "%s: cannot start writing: %s", store->folder, strerror(errno));
        ok = false;
    }
    if (ok)
        report_recovery(store, &found, started_ns, report);
    else
        free_store(store);
    recovery_free(&found);
    return ok ? store : NULL;
}

void store_flush(struct store *store)
{
    journal_flush(store->journal);
}

void store_close(struct store *store, uint64_t settle_ns)
{
    if (!store)
        return;
    journal_flush(store->journal);
    size_t dirty = checkpoint_settle(store->checkpoint, settle_ns);
    if (dirty)
        log_info("%zu objects keep part of their state in the journal", dirty);
    loop_set_hook(store->loop, LOOP_RANK_STORE, NULL, NULL);
    free_store(store);
}
