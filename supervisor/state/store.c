// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/store.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "common/log.h"
#include "supervisor/metric.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/state/boot_file.h"
#include "supervisor/state/checkpoint.h"
#include "supervisor/state/file_redo.h"
#include "supervisor/state/timer_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES_KEPT = 4096 };

struct store {
    struct loop *loop;
    struct scribe *scribe;
    char *data_dir, *folder, *station;
    int data_fd, folder_fd;
    uint64_t boot;
    enum durability durability;
    uint64_t turn_writes_max;
    struct journal *journal;
    struct checkpoint *checkpoint;
    struct object_state *objects;
    struct memtable_entry **entries; /* of the turn being applied */
    size_t entries_cap;
    void (*on_durable)(void *arg);
    void *arg;
    struct file_redo *file_redo;
    struct timer_image *timers;
    uint64_t keep_from[STORE_KEEPERS];
    uint64_t journal_max;
    struct object_state *replayed; /* the object of the turn met during recovery */
    int replay_err;                /* why it could not be had */
};

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

struct object_state *store_object(struct store *store, const char *object_id)
{
    struct span id = span_of(object_id);
    struct object_state *o = find_object(store, id);
    return o ? o : add_object(store, id);
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

int store_commit_turn(struct store *store, struct object_state *object,
                      const struct store_turn *turn, uint64_t *seq)
{
    struct span writes = turn->writes;
    uint32_t write_count = turn->write_count;
    *seq = object->newest;
    if (write_count == 0 && turn->files.count == 0 && turn->files_done == 0 &&
        turn->timer_count == 0)
        return 0;
    uint64_t payload = writes.len - (uint64_t)write_count * RPC_WRITE_MIN + turn->timers.len;
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

/* --- recovery --- */

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
        o = find_object(store, object_id);
    if (!o)
        o = add_object(store, object_id);
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

struct file_redo *store_take_file_redo(struct store *store)
{
    struct file_redo *redo = store->file_redo;
    store->file_redo = NULL;
    return redo;
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

static int replay_timers(void *arg, const struct segment_turn *turn,
                         const struct segment_timer *timers, size_t count)
{
    struct store *store = arg;
    return timer_image_apply(store->timers, turn, timers, count);
}

struct timer_image *store_take_timers(struct store *store)
{
    struct timer_image *timers = store->timers;
    store->timers = NULL;
    return timers;
}

bool store_is_pressed(const struct store *store)
{
    return journal_closed_bytes(store->journal) > store->journal_max;
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

static int recover(struct store *store, struct recovery *found, uint64_t *floor_seq, char *error,
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
              recover(store, &found, &floor_seq, error, error_size) == 0;
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

/* --- figures --- */

void store_status(const struct store *store, struct buf *json)
{
    const struct journal_counters *j = journal_counters(store->journal);
    const struct checkpoint_counters *c = checkpoint_counters(store->checkpoint);
    size_t closed;
    journal_closed(store->journal, &closed);
    json_put_key(json, "journal");
    buf_putc(json, '{');
    json_put_number(json, "boot", store->boot);
    json_put_member(json, "durability", config_durability_name(store->durability));
    json_put_number(json, "last_seq", journal_last(store->journal));
    json_put_number(json, "durable_seq", journal_durable(store->journal));
    json_put_number(json, "records", j->records);
    json_put_number(json, "batches", j->batches);
    json_put_number(json, "closed_segments", closed);
    json_put_number(json, "closed_bytes", journal_closed_bytes(store->journal));
    json_put_number(json, "dirty_objects", c->dirty);
    json_put_number(json, "checkpoints", c->done);
    json_put_number(json, "checkpoints_failed", c->failed);
    json_put_number(json, "refused", j->refused);
    json_put_key(json, "out_of_room");
    buf_puts(json, j->out_of_room ? "true" : "false");
    buf_putc(json, '}');
}

void store_metrics(const struct store *store, struct buf *text)
{
    const struct journal_counters *j = journal_counters(store->journal);
    const struct checkpoint_counters *c = checkpoint_counters(store->checkpoint);
    metric_counter(text, "journal_records_total", "Turns appended.", j->records);
    metric_counter(text, "journal_bytes_total", "Bytes of turns appended.", j->bytes);
    metric_counter(text, "journal_batches_total", "Batches written.", j->batches);
    metric_counter(text, "journal_syncs_total", "Batches synced.", j->syncs);
    metric_counter(text, "journal_refused_total", "Turns refused: no room.", j->refused);
    metric_counter(text, "journal_waits_total", "Waits for a segment.", j->waits);
    metric_gauge(text, "journal_out_of_room", "1 while the disk is full.", (double)j->out_of_room);
    metric_gauge(text, "journal_closed_bytes", "Bytes of closed segments.",
                 (double)journal_closed_bytes(store->journal));
    metric_gauge(text, "journal_undurable", "Records not yet durable.",
                 (double)journal_last(store->journal) - journal_durable(store->journal));
    metric_counter(text, "checkpoints_total", "Checkpoints written.", c->done);
    metric_counter(text, "checkpoints_failed_total", "Checkpoints that failed.", c->failed);
    metric_gauge(text, "dirty_objects", "Objects newer than their checkpoint.", (double)c->dirty);
}
