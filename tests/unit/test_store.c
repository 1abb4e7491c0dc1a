// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/state/store.c supervisor/state/store_figures.c
 * supervisor/state/store_recover.c supervisor/state/checkpoint.c supervisor/state/object_state.c
 * supervisor/state/memtable.c supervisor/state/arena.c supervisor/state/boot_file.c
 * supervisor/state/recovery.c supervisor/state/journal.c supervisor/state/journal_batch.c
 * supervisor/state/journal_segments.c supervisor/state/committer.c
 * supervisor/state/journal_reader.c supervisor/state/segment.c supervisor/state/record.c
 * supervisor/loop.c common/buf.c common/clock.c common/codec.c common/failpoint.c
 * common/json_text.c common/log.c common/rpc.c common/file_store.c common/seeded_hash.c
 * common/state_file.c common/tsv.c common/utf8.c -lxxhash -lpthread -ljansson */
/*
 * The store with a scribe of this test's own: it merges with the real journal reader and the real
 * state file, at once or when the test says so, or fails.
 */
#include "supervisor/state/store.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/state_file.h"
#include "data_folder.h"
#include "supervisor/scribe/scribe.h"
#include "supervisor/state/journal_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

enum { KEYS_MAX = 64 };

/* --- a model of one object's state --- */

struct model {
    struct {
        char key[32], value[64];
    } entries[KEYS_MAX];
    size_t count;
};

static void model_write(struct model *m, struct span key, struct span value)
{
    size_t i = 0;
    while (i < m->count && !span_equal(key, m->entries[i].key))
        i++;
    if (value.len == 0) {
        if (i < m->count)
            m->entries[i] = m->entries[--m->count];
        return;
    }
    if (i == m->count)
        ck_assert_uint_lt(m->count++, KEYS_MAX);
    snprintf(m->entries[i].key, sizeof(m->entries[i].key), "%.*s", (int)key.len, key.data);
    snprintf(m->entries[i].value, sizeof(m->entries[i].value), "%.*s", (int)value.len, value.data);
}

static const char *model_get(const struct model *m, const char *key)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->entries[i].key, key) == 0)
            return m->entries[i].value;
    return NULL;
}

static void model_read_file(struct model *m, int fd, uint64_t *watermark)
{
    struct state_file file;
    struct state_file_entry entry;
    ck_assert_int_eq(state_file_open(&file, fd), 0);
    while (state_file_next(&file, &entry) == 1)
        model_write(m, entry.key, entry.value);
    *watermark = file.watermark;
    state_file_close(&file);
}

/* --- the scribe --- */

static struct {
    bool holds; /* jobs wait for scribe_release() */
    int fails;  /* -errno for the next jobs */
    bool writes_before_failing;
    struct scribe_checkpoint jobs[64];
    char ids[64][32];
    char first[32]; /* the object it was asked for first */
    size_t count;
    scribe_checkpoint_fn done;
    void *arg;
    unsigned calls;
    size_t largest;
} fake;

struct merge {
    const struct scribe_checkpoint *job;
    struct model model;
    uint64_t last_seq;
};

static int merge_turn(void *arg, const struct journal_reader_turn *turn)
{
    struct merge *m = arg;
    if (!span_equal(turn->object_id, m->job->object_id))
        return 0;
    for (size_t i = 0; i < turn->write_count; i++)
        model_write(&m->model, turn->writes[i].key, turn->writes[i].value);
    m->last_seq = turn->seq;
    return 0;
}

static uint64_t merge(const struct scribe_checkpoint *job)
{
    struct merge m = {.job = job};
    char path[64], error[256];
    uint64_t watermark = 0;
    snprintf(path, sizeof(path), "state/%s/state.tsv", job->object_id);
    int fd = open(data_path(path), O_RDONLY);
    if (fd >= 0) {
        model_read_file(&m.model, fd, &watermark);
        close(fd);
    }
    ck_assert_uint_ge(job->after_seq, watermark);
    const struct journal_reader_sink sink = {.turn = merge_turn, .arg = &m};
    ck_assert_msg(journal_read(data_path("journal"), job->after_seq, job->upto_seq, &sink, error,
                               sizeof(error)) == 0,
                  "%s", error);
    ck_assert_uint_eq(m.last_seq, job->upto_seq);
    data_write_text(path, "");
    fd = open(data_path(path), O_WRONLY | O_TRUNC);
    struct state_file_writer w;
    state_file_write_begin(&w, fd, job->upto_seq);
    for (size_t i = 0; i < m.model.count; i++)
        state_file_write_entry(&w, span_of(m.model.entries[i].key),
                               span_of(m.model.entries[i].value), span_of("1.000000"));
    ck_assert_int_eq(state_file_write_end(&w), 0);
    close(fd);
    return m.model.count;
}

static void scribe_release(void)
{
    size_t count = fake.count;
    int err = fake.fails;
    scribe_checkpoint_fn done = fake.done;
    void *arg = fake.arg;
    fake.count = 0;
    uint64_t keys[64] = {0};
    for (size_t i = 0; i < count; i++)
        if (!err || fake.writes_before_failing)
            keys[i] = merge(&fake.jobs[i]);
    for (size_t i = 0; i < count; i++)
        done(arg, err, i, keys[i]);
}

void scribe_checkpoint(struct scribe *scribe, const struct scribe_checkpoint *objects, size_t count,
                       scribe_checkpoint_fn done, void *arg)
{
    ck_assert_ptr_nonnull(scribe);
    ck_assert_uint_eq(fake.count, 0);
    ck_assert_uint_le(count, 64);
    for (size_t i = 0; i < count; i++) {
        fake.jobs[i] = objects[i];
        snprintf(fake.ids[i], sizeof(fake.ids[i]), "%s", objects[i].object_id);
        fake.jobs[i].object_id = fake.ids[i];
    }
    if (fake.calls == 0)
        memcpy(fake.first, fake.ids[0], sizeof(fake.first));
    fake.count = count;
    fake.done = done;
    fake.arg = arg;
    fake.calls++;
    fake.largest = count > fake.largest ? count : fake.largest;
    if (!fake.holds)
        scribe_release();
}

static char dumped[256];

void scribe_dump(struct scribe *scribe, const char *object_id, const struct span *key,
                 struct span writes, uint32_t write_count, const char *prefix, const char *suffix,
                 scribe_document_fn done, void *arg)
{
    (void)scribe, (void)writes;
    snprintf(dumped, sizeof(dumped), "%s %s %u %s %s", object_id, key ? key->data : "-",
             write_count, prefix, suffix);
    done(arg, 0, -1, 0);
}

void scribe_cancel(struct scribe *scribe, void *arg)
{
    (void)scribe;
    if (arg == fake.arg)
        fake.count = 0;
}

/* --- the store under test --- */

static struct loop *loop;
static struct store *store;
static struct config config;
static struct store_report report;
static char error[512];
static uint64_t heard;
static struct model expected; /* of object "demo" */

static void on_durable(void *arg)
{
    (void)arg;
    ck_assert_uint_gt(store_durable(store), heard);
    heard = store_durable(store);
}

static bool try_open(void)
{
    loop = loop_new();
    store = store_open(loop, &config, (struct scribe *)&fake, on_durable, NULL, &report, error,
                       sizeof(error));
    if (!store) {
        loop_free(loop);
        loop = NULL;
        return false;
    }
    heard = store_durable(store);
    return true;
}

static void open_store(void)
{
    ck_assert_msg(try_open(), "%s", error);
}

static void close_store(void)
{
    store_close(store, 30 * NS_PER_S);
    loop_free(loop);
    store = NULL;
    loop = NULL;
}

/* As after a kill: nothing is checkpointed, and what is durable is on the disk. */
static void abandon_store(void)
{
    int fails = fake.fails;
    fake.fails = -EIO;
    fake.holds = false;
    close_store();
    fake.fails = fails;
}

static void setup(void)
{
    memset(&fake, 0, sizeof(fake));
    expected.count = 0;
    data_folder_make();
    config = (struct config){.station_id = "test",
                             .data_dir = data_dir,
                             .durability = DURABILITY_FSYNC,
                             .sync_interval_ns = NS_PER_S,
                             .segment_size = 64 * 1024,
                             .checkpoint_idle_ns = 3600 * NS_PER_S,
                             .checkpoint_max_ns = 3600 * NS_PER_S,
                             .journal_max = 1 << 30,
                             .turn_writes_max = 1024 * 1024};
}

static void teardown(void)
{
    if (store)
        abandon_store();
    data_folder_remove();
}

static int try_write(const char *id, const char *key, const char *value, uint64_t *seq)
{
    struct buf writes = BUF_INIT;
    rpc_write_encode(&writes, &(struct rpc_write){value ? RPC_WRITE_SET : RPC_WRITE_DELETE,
                                                  span_of(key), span_of(value ? value : "")});
    int err = store_commit(store, store_object(store, id), span_of("r"),
                           (struct span){writes.data, writes.len}, 1, seq);
    buf_free(&writes);
    return err;
}

static uint64_t write_key(const char *key, const char *value)
{
    uint64_t seq;
    ck_assert_int_eq(try_write("demo", key, value, &seq), 0);
    ck_assert_uint_eq(store_newest(store_object(store, "demo")), seq);
    model_write(&expected, span_of(key), span_of(value ? value : ""));
    return seq;
}

static void snapshot(const char *id, struct model *m)
{
    struct buf writes = BUF_INIT;
    uint32_t count;
    uint64_t watermark;
    int fd;
    m->count = 0;
    ck_assert_int_eq(store_snapshot(store, store_object(store, id), &fd, &writes, &count), 0);
    if (fd >= 0) {
        model_read_file(m, fd, &watermark);
        close(fd);
    }
    struct codec_reader r = codec_reader_of(writes.data, writes.len);
    struct rpc_write w;
    while (rpc_write_next(&r, &w)) {
        model_write(m, w.key, w.value);
        count--;
    }
    ck_assert(!r.failed);
    ck_assert_uint_eq(count, 0);
    buf_free(&writes);
}

static void expect_state(void)
{
    struct model m;
    snapshot("demo", &m);
    ck_assert_uint_eq(m.count, expected.count);
    for (size_t i = 0; i < expected.count; i++) {
        const char *value = model_get(&m, expected.entries[i].key);
        ck_assert_msg(value != NULL, "%s is missing", expected.entries[i].key);
        ck_assert_str_eq(value, expected.entries[i].value);
    }
}

static bool (*awaited)(void);
static void poll_awaited(void *arg)
{
    static struct loop_timer timer;
    if (awaited())
        loop_stop(loop);
    else
        loop_timer_set(loop, &timer, NS_PER_MS, poll_awaited, arg);
}

static void run_until(bool (*condition)(void))
{
    awaited = condition;
    poll_awaited(NULL);
    loop_run(loop);
}

static bool all_heard(void)
{
    return heard >= store_newest(store_object(store, "demo"));
}

static bool scribe_was_asked(void)
{
    return fake.calls > 0;
}

static bool scribe_holds_a_job(void)
{
    return fake.count > 0;
}

static uint64_t status_number(const char *name)
{
    struct buf text = BUF_INIT;
    buf_putc(&text, '{');
    store_status(store, &text);
    buf_putc(&text, '}');
    json_t *json = json_loads(buf_str(&text), 0, NULL);
    ck_assert_msg(json != NULL, "%s", buf_str(&text));
    json_t *value = json_object_get(json_object_get(json, "journal"), name);
    ck_assert(json_is_integer(value));
    uint64_t number = (uint64_t)json_integer_value(value);
    json_decref(json);
    buf_free(&text);
    return number;
}

static bool nothing_dirty(void)
{
    return status_number("dirty_objects") == 0;
}

/* --- tests --- */

START_TEST(a_new_store_is_empty)
{
    open_store();
    ck_assert_uint_eq(report.boot, 1);
    ck_assert_uint_eq(report.records, 0);
    expect_state();
    ck_assert_uint_eq(store_newest(store_object(store, "demo")), 0);
    ck_assert_ptr_eq(store_object(store, "demo"), store_object(store, "demo"));
    ck_assert_ptr_ne(store_object(store, "demo"), store_object(store, "other"));
    close_store();
    ck_assert_uint_eq(fake.calls, 0);
}
END_TEST

START_TEST(writes_survive_in_the_journal)
{
    open_store();
    write_key("a", "1");
    write_key("b", "\"two\"");
    write_key("a", "3");
    write_key("b", NULL);
    write_key("c", "[]");
    expect_state();
    run_until(all_heard);
    abandon_store();
    open_store();
    ck_assert_uint_eq(report.boot, 2);
    ck_assert_uint_eq(report.records, 5);
    expect_state();
    ck_assert_uint_gt(write_key("d", "1"), 5);
}
END_TEST

START_TEST(a_turn_is_taken_whole_or_not_at_all)
{
    open_store();
    uint64_t seq = 77;
    char *large = malloc(config.turn_writes_max + 2);
    memset(large, '7', config.turn_writes_max + 1);
    large[config.turn_writes_max + 1] = '\0';
    ck_assert_int_eq(try_write("demo", "large", large, &seq), -EFBIG);
    ck_assert_uint_eq(store_newest(store_object(store, "demo")), 0);
    expect_state();
    large[config.turn_writes_max - 5] = '\0';
    ck_assert_int_eq(try_write("demo", "large", large, &seq), 0);
    ck_assert_uint_eq(seq, 1);
    free(large);
    ck_assert_int_eq(store_commit(store, store_object(store, "demo"), span_of("r"),
                                  (struct span){"", 0}, 0, &seq),
                     0);
    ck_assert_uint_eq(seq, 1); /* nothing written: nothing appended */
}
END_TEST

START_TEST(one_turn_of_many_keys_and_twice_the_same)
{
    open_store();
    struct buf writes = BUF_INIT;
    static const char *const values[] = {"1", "\"longer than the one before it\"", "2"};
    for (int i = 0; i < 3; i++) {
        rpc_write_encode(&writes,
                         &(struct rpc_write){RPC_WRITE_SET, span_of("k"), span_of(values[i])});
        rpc_write_encode(&writes,
                         &(struct rpc_write){RPC_WRITE_DELETE, span_of("gone"), span_of("")});
    }
    uint64_t seq;
    ck_assert_int_eq(store_commit(store, store_object(store, "demo"), span_of("r"),
                                  (struct span){writes.data, writes.len}, 6, &seq),
                     0);
    buf_free(&writes);
    model_write(&expected, span_of("k"), span_of("2"));
    expect_state();
    run_until(all_heard);
    abandon_store();
    open_store();
    ck_assert_uint_eq(report.records, 1);
    expect_state();
}
END_TEST

START_TEST(a_clean_stop_checkpoints_and_trims)
{
    open_store();
    char value[64];
    for (int i = 0; i < 2000; i++) {
        snprintf(value, sizeof(value), "\"%050d\"", i);
        write_key(i % 2 ? "odd" : "even", value);
    }
    close_store();
    ck_assert_uint_eq(fake.calls, 1);
    int fd = open(data_path("journal"), O_RDONLY | O_DIRECTORY);
    uint64_t *files;
    ck_assert_int_eq(segment_list(fd, &files), 1);
    free(files);
    close(fd);
    open_store();
    ck_assert(nothing_dirty());
    expect_state();
    ck_assert_uint_eq(store_key_estimate(store, store_object(store, "demo")), 2);
    ck_assert_uint_eq(write_key("more", "1"), 2001);
    expect_state();
}
END_TEST

/* The record that set it is still in the journal, older than the checkpoint. */
START_TEST(a_deleted_key_does_not_come_back)
{
    open_store();
    uint64_t seq;
    write_key("stays", "1");
    write_key("goes", "1");
    ck_assert_int_eq(try_write("other", "k", "1", &seq), 0); /* holds the segment */
    write_key("goes", NULL);
    fake.holds = true;
    config.checkpoint_idle_ns = 1;
    run_until(all_heard);
    abandon_store();
    config.checkpoint_idle_ns = NS_PER_MS;
    open_store();
    ck_assert_uint_eq(report.records, 4);
    run_until(nothing_dirty);
    expect_state();
    abandon_store();
    open_store();
    ck_assert_uint_eq(report.records, 4); /* they are still there, and ignored */
    expect_state();
    ck_assert_ptr_null(model_get(&expected, "goes"));
}
END_TEST

START_TEST(idle_objects_are_checkpointed)
{
    config.checkpoint_idle_ns = 10 * NS_PER_MS;
    open_store();
    uint64_t seq;
    write_key("a", "1");
    ck_assert_int_eq(try_write("other", "k", "1", &seq), 0);
    run_until(nothing_dirty);
    ck_assert_uint_eq(fake.calls, 1); /* together */
    ck_assert_uint_eq(fake.largest, 2);
    expect_state();
}
END_TEST

START_TEST(busy_objects_are_checkpointed_at_the_latest_after_the_limit)
{
    config.checkpoint_max_ns = 300 * NS_PER_MS;
    open_store();
    uint64_t started = loop_now(loop); /* the time that the first write is given */
    while (!scribe_was_asked()) {
        write_key("a", "1");
        run_until(all_heard);
        ck_assert_uint_lt(clock_mono_ns() - started, 10 * NS_PER_S);
    }
    ck_assert_uint_ge(clock_mono_ns() - started, 290 * NS_PER_MS);
    expect_state();
}
END_TEST

START_TEST(a_large_file_is_not_rewritten_for_little)
{
    /* 2 MiB of checkpoint, one small write, long idle: not due; a fifth of it written: due. */
    struct buf text = BUF_INIT;
    buf_puts(&text, "#objectd-state 1 seq=1\nbig\t\"");
    for (int i = 0; i < 2 * 1024 * 1024; i++)
        buf_putc(&text, 'x');
    buf_puts(&text, "\"\t1.000000\n");
    data_write("state/demo/state.tsv", text.data, text.len);
    buf_free(&text);
    config.checkpoint_idle_ns = NS_PER_MS;
    open_store();
    uint64_t seq;
    ck_assert_int_eq(try_write("demo", "a", "1", &seq), 0);
    ck_assert_uint_eq(seq, 2); /* above the checkpoint's */
    static struct loop_timer pause;
    loop_timer_set(loop, &pause, 700 * NS_PER_MS, (loop_timer_fn)loop_stop, loop);
    loop_run(loop);
    ck_assert_uint_eq(fake.calls, 0);
    char *value = malloc(500000);
    memset(value, '7', 499999);
    value[499999] = '\0';
    ck_assert_int_eq(try_write("demo", "a", value, &seq), 0);
    free(value);
    fake.holds = true;
    run_until(scribe_holds_a_job);
    ck_assert_uint_eq(fake.jobs[0].upto_seq, 3);
    fake.count = 0;
    fake.done(fake.arg, 0, 0, 2);
}
END_TEST

START_TEST(writes_during_a_checkpoint_are_kept_over_it)
{
    config.checkpoint_idle_ns = NS_PER_MS;
    open_store();
    write_key("a", "1");
    write_key("b", "1");
    write_key("c", "1");
    fake.holds = true;
    run_until(scribe_holds_a_job);
    write_key("a", "2");
    write_key("b", NULL);
    expect_state(); /* while it is under way */
    ck_assert_uint_eq(fake.jobs[0].after_seq, 0);
    ck_assert_uint_eq(fake.jobs[0].upto_seq, 3);
    run_until(all_heard);
    scribe_release();
    expect_state();
    ck_assert_uint_eq(status_number("dirty_objects"), 1);
    run_until(scribe_holds_a_job);
    ck_assert_uint_eq(fake.jobs[0].after_seq, 3);
    ck_assert_uint_eq(fake.jobs[0].upto_seq, 5);
    scribe_release();
    ck_assert(nothing_dirty());
    expect_state();
}
END_TEST

/* What it wrote meanwhile is older than what others wrote since: it still holds its segments. */
START_TEST(trimming_after_a_checkpoint_spares_newer_writes)
{
    config.checkpoint_idle_ns = NS_PER_MS;
    open_store();
    write_key("a", "1");
    fake.holds = true;
    run_until(scribe_holds_a_job);
    write_key("early", "1");
    char value[64];
    for (int i = 0; i < 2000; i++) {
        snprintf(value, sizeof(value), "\"%050d\"", i);
        write_key("filler", value);
    }
    uint64_t seq;
    ck_assert_int_eq(try_write("other", "k", "1", &seq), 0);
    run_until(all_heard);
    ck_assert_uint_gt(status_number("closed_segments"), 3);
    scribe_release();
    fake.fails = -EIO; /* no further one */
    abandon_store();
    fake.fails = 0;
    open_store();
    expect_state();
}
END_TEST

START_TEST(a_failed_checkpoint_loses_nothing)
{
    config.checkpoint_idle_ns = NS_PER_MS;
    open_store();
    write_key("a", "1");
    write_key("b", "1");
    fake.holds = true;
    fake.fails = -EPIPE;
    fake.writes_before_failing = _i == 1; /* the file is new, but nobody was told */
    run_until(scribe_holds_a_job);
    write_key("a", "2");
    write_key("b", NULL);
    run_until(all_heard);
    scribe_release();
    expect_state();
    ck_assert_uint_eq(status_number("checkpoints_failed"), 1);
    fake.fails = 0;
    abandon_store();
    open_store();
    expect_state();
}
END_TEST

START_TEST(what_is_not_durable_is_not_checkpointed)
{
    config.checkpoint_idle_ns = 1;
    open_store();
    fake.holds = true;
    for (int i = 0; i < 50; i++) {
        uint64_t seq = write_key("a", "1");
        run_until(scribe_holds_a_job);
        ck_assert_uint_eq(fake.jobs[0].upto_seq, seq);
        ck_assert_uint_ge(store_durable(store), seq);
        scribe_release();
        if (i == 3)
            break;
    }
}
END_TEST

START_TEST(too_many_segments_force_the_oldest_out)
{
    config.journal_max = 3 * 64 * 1024;
    open_store();
    uint64_t seq;
    char value[64];
    ck_assert_int_eq(try_write("old", "k", "1", &seq), 0);
    for (int i = 0; i < 4000; i++) {
        snprintf(value, sizeof(value), "\"%050d\"", i);
        write_key("a", value);
        if (i % 100 == 0)
            run_until(all_heard);
    }
    run_until(scribe_was_asked);
    ck_assert_str_eq(fake.first, "old");
    run_until(all_heard);
    while (status_number("closed_bytes") > config.journal_max) {
        uint64_t before = status_number("last_seq");
        write_key("a", "1");
        ck_assert_uint_lt(before, 20000);
        run_until(all_heard);
    }
    expect_state();
    abandon_store();
    open_store();
    expect_state();
    struct model m;
    snapshot("old", &m);
    ck_assert_str_eq(model_get(&m, "k"), "1");
}
END_TEST

/* The journal was lost or is older: numbers must not be given twice. */
START_TEST(a_checkpoint_newer_than_the_journal)
{
    data_write_text("state/demo/state.tsv", "#objectd-state 1 seq=5000\na\t1\t1.000000\n");
    data_write_text("state/other/state.tsv", "#objectd-state 1 seq=9000\na\t1\t1.000000\n");
    model_write(&expected, span_of("a"), span_of("1"));
    open_store();
    ck_assert_uint_eq(write_key("b", "2"), 5001);
    uint64_t seq;
    ck_assert_int_eq(try_write("other", "b", "2", &seq), 0);
    ck_assert_uint_eq(seq, 9001);
    write_key("c", "3");
    run_until(all_heard);
    abandon_store();
    open_store();
    ck_assert_uint_eq(report.records, 3);
    expect_state();
}
END_TEST

START_TEST(the_boot_number_only_rises)
{
    for (uint64_t boot = 1; boot <= 5; boot++) {
        open_store();
        ck_assert_uint_eq(report.boot, boot);
        if (boot == 3) {
            write_key("a", "1");
            run_until(all_heard);
        }
        abandon_store();
    }
    data_write_text("boot", "no number\n"); /* damaged: the journal knows of boot 3 */
    open_store();
    ck_assert_uint_ge(report.boot, 4);
    abandon_store();
    data_write_text("boot", "40\t900\n");
    open_store();
    ck_assert_uint_eq(report.boot, 41);
    ck_assert_uint_eq(write_key("a", "2"), 901);
}
END_TEST

START_TEST(damage_refuses_the_start_with_file_and_offset)
{
    open_store();
    for (int i = 0; i < 5; i++) {
        write_key("a", "1");
        run_until(all_heard);
    }
    abandon_store();
    int fd = open(data_path("journal/000000000001.tsv"), O_RDWR);
    ck_assert_int_eq(pwrite(fd, "#", 1, 150), 1);
    close(fd);
    ck_assert(!try_open());
    ck_assert_msg(strstr(error, "000000000001.tsv:") != NULL, "%s", error);
    fd = open(data_path("journal/000000000001.tsv"), O_RDWR);
    char byte;
    ck_assert_int_eq(pread(fd, &byte, 1, 150), 1);
    ck_assert_int_eq(byte, '#'); /* nothing was changed */
    close(fd);
}
END_TEST

START_TEST(a_damaged_checkpoint_is_an_error)
{
    data_write_text("state/demo/state.tsv", "#objectd-state 1 seq=x\n");
    open_store();
    struct buf writes = BUF_INIT;
    uint32_t count;
    uint64_t seq;
    int fd;
    ck_assert_int_eq(store_snapshot(store, store_object(store, "demo"), &fd, &writes, &count),
                     -EBADMSG);
    ck_assert_int_eq(fd, -1);
    ck_assert_int_eq(try_write("demo", "a", "1", &seq), -EBADMSG);
    ck_assert_uint_eq(store_key_estimate(store, store_object(store, "demo")), 0);
    ck_assert_int_eq(try_write("other", "a", "1", &seq), 0);
    buf_free(&writes);
}
END_TEST

START_TEST(a_torn_tail_is_reported)
{
    open_store();
    write_key("a", "1");
    run_until(all_heard);
    abandon_store();
    FILE *file = fopen(data_path("journal/000000000002.tsv"), "w");
    fputs("torn", file);
    fclose(file);
    open_store();
    ck_assert_uint_eq(report.torn_bytes, 4);
    ck_assert_str_eq(report.torn_at, "000000000002.tsv:0");
    expect_state();
}
END_TEST

static void dump_done(void *arg, int err, int fd, uint64_t size)
{
    (void)fd, (void)size;
    *(int *)arg = err;
}

static void expect_dump(const char *key, const char *what)
{
    int err = 1;
    store_dump(store, store_object(store, "demo"), key ? &(struct span){key, strlen(key)} : NULL,
               "{", "}", dump_done, &err);
    ck_assert_int_eq(err, 0);
    ck_assert_str_eq(dumped, what);
}

START_TEST(a_dump_takes_the_newer_writes_along)
{
    open_store();
    write_key("a", "1");
    write_key("b", "1");
    expect_dump(NULL, "demo - 2 { }");
    expect_dump("b", "demo b 1 { }"); /* of one key, just its own */
    expect_dump("c", "demo c 0 { }");
}
END_TEST

START_TEST(metrics_are_lines_of_text)
{
    open_store();
    write_key("a", "1");
    struct buf text = BUF_INIT;
    store_metrics(store, &text);
    ck_assert_ptr_nonnull(strstr(buf_str(&text), "\nobjectd_journal_records_total 1\n"));
    ck_assert_ptr_nonnull(strstr(buf_str(&text), "\nobjectd_dirty_objects 1\n"));
    buf_free(&text);
    ck_assert_uint_eq(status_number("last_seq"), 1);
    ck_assert_uint_eq(status_number("durable_seq"), 0);
}
END_TEST

#ifdef OBJECTD_FAILPOINTS
START_TEST(a_full_disk_refuses_writes_and_serves_reads)
{
    open_store();
    failpoint_arm("spare-open:1+=enospc");
    uint64_t seq;
    char value[64];
    int err = 0;
    for (int i = 0; i < 5000 && !err; i++) {
        snprintf(value, sizeof(value), "\"%050d\"", i);
        err = try_write("demo", "a", value, &seq);
        if (!err)
            model_write(&expected, span_of("a"), span_of(value));
    }
    ck_assert_int_eq(err, -ENOSPC);
    ck_assert_int_eq(try_write("demo", "new", value, &seq), -ENOSPC);
    expect_state();
    run_until(all_heard);
    failpoint_arm(NULL);
    while ((err = try_write("demo", "a", "1", &seq)) == -ENOSPC) {
        static struct loop_timer pause;
        loop_timer_set(loop, &pause, 10 * NS_PER_MS, (loop_timer_fn)loop_stop, loop);
        loop_run(loop);
    }
    ck_assert_int_eq(err, 0);
    model_write(&expected, span_of("a"), span_of("1"));
    expect_state();
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *tc = tcase_create("store");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_new_store_is_empty);
    tcase_add_test(tc, writes_survive_in_the_journal);
    tcase_add_test(tc, a_turn_is_taken_whole_or_not_at_all);
    tcase_add_test(tc, one_turn_of_many_keys_and_twice_the_same);
    tcase_add_test(tc, a_clean_stop_checkpoints_and_trims);
    tcase_add_test(tc, a_deleted_key_does_not_come_back);
    tcase_add_test(tc, idle_objects_are_checkpointed);
    tcase_add_test(tc, busy_objects_are_checkpointed_at_the_latest_after_the_limit);
    tcase_add_test(tc, a_large_file_is_not_rewritten_for_little);
    tcase_add_test(tc, writes_during_a_checkpoint_are_kept_over_it);
    tcase_add_test(tc, trimming_after_a_checkpoint_spares_newer_writes);
    tcase_add_loop_test(tc, a_failed_checkpoint_loses_nothing, 0, 2);
    tcase_add_test(tc, what_is_not_durable_is_not_checkpointed);
    tcase_add_test(tc, too_many_segments_force_the_oldest_out);
    tcase_add_test(tc, a_checkpoint_newer_than_the_journal);
    tcase_add_test(tc, the_boot_number_only_rises);
    tcase_add_test(tc, damage_refuses_the_start_with_file_and_offset);
    tcase_add_test(tc, a_damaged_checkpoint_is_an_error);
    tcase_add_test(tc, a_torn_tail_is_reported);
    tcase_add_test(tc, a_dump_takes_the_newer_writes_along);
    tcase_add_test(tc, metrics_are_lines_of_text);
#ifdef OBJECTD_FAILPOINTS
    tcase_add_test(tc, a_full_disk_refuses_writes_and_serves_reads);
#endif
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
