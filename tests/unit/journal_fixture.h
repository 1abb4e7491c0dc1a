// SPDX-License-Identifier: Apache-2.0
/*
 * journal_fixture - a real journal in a data folder of its own, written by the committer thread.
 *
 * For unit tests only; include data_folder.h first. Every function ends the test when something
 * fails.
 */
#ifndef TESTS_UNIT_JOURNAL_FIXTURE_H
#define TESTS_UNIT_JOURNAL_FIXTURE_H

#include "common/clock.h"
#include "supervisor/state/journal.h"

static struct journal_fixture {
    struct loop *loop;
    struct journal *journal;
    struct recovery found;
    int folder_fd;
    uint64_t boot, floor_seq;
    enum durability durability;
    uint64_t segment_size, sync_interval_ns;
    uint64_t heard; /* journal_durable() at the last on_durable */
    uint64_t replayed;
    char folder[128], error[512];
    struct buf writes;
} fixture;

static inline int fixture_count_turn(void *arg, const struct journal_reader_turn *turn)
{
    (void)arg, (void)turn;
    fixture.replayed++;
    return 0;
}

static inline void fixture_on_durable(void *arg)
{
    (void)arg;
    ck_assert_uint_gt(journal_durable(fixture.journal), fixture.heard);
    fixture.heard = journal_durable(fixture.journal);
}

static inline void fixture_round(void *arg)
{
    (void)arg;
    journal_round(fixture.journal);
}

/* Recovers and cuts: the result of recovery_scan, or of recovery_cut. */
static inline int fixture_recover(void)
{
    static const struct journal_reader_sink sink = {.turn = fixture_count_turn};
    fixture.replayed = 0;
    fixture.error[0] = '\0';
    recovery_free(&fixture.found);
    int err = recovery_scan(fixture.folder_fd, fixture.folder, &sink, &fixture.found, fixture.error,
                            sizeof(fixture.error));
    return err ? err
               : recovery_cut(fixture.folder_fd, fixture.folder, &fixture.found, fixture.error,
                              sizeof(fixture.error));
}

static inline void fixture_open(void)
{
    ck_assert_msg(fixture_recover() == 0, "%s", fixture.error);
    fixture.loop = loop_new();
    fixture.boot++;
    const struct journal_options options = {.loop = fixture.loop,
                                            .folder = fixture.folder,
                                            .folder_fd = fixture.folder_fd,
                                            .station = "test",
                                            .boot = fixture.boot,
                                            .durability = fixture.durability,
                                            .sync_interval_ns = fixture.sync_interval_ns,
                                            .segment_size = fixture.segment_size,
                                            .on_durable = fixture_on_durable};
    fixture.heard = fixture.found.last_seq;
    fixture.journal = journal_open(&options, &fixture.found, fixture.floor_seq);
    ck_assert_ptr_nonnull(fixture.journal);
    loop_set_hook(fixture.loop, LOOP_RANK_STORE, fixture_round, NULL);
}

static inline void fixture_close(void)
{
    journal_close(fixture.journal);
    fixture.journal = NULL;
    loop_free(fixture.loop);
    fixture.loop = NULL;
}

static inline void fixture_setup(void)
{
    fixture = (struct journal_fixture){
        .segment_size = 64 * 1024, .sync_interval_ns = 10 * NS_PER_MS, .folder_fd = -1};
    data_folder_make();
    snprintf(fixture.folder, sizeof(fixture.folder), "%s/journal", data_dir);
    ck_assert_int_eq(mkdir(fixture.folder, 0700), 0);
    fixture.folder_fd = open(fixture.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(fixture.folder_fd, 0);
}

static inline void fixture_teardown(void)
{
    if (fixture.journal)
        fixture_close();
    recovery_free(&fixture.found);
    buf_free(&fixture.writes);
    close(fixture.folder_fd);
    data_folder_remove();
}

/* Appends a turn of one key: 0 or -errno. */
static inline int fixture_try(const char *key, const char *value, uint64_t *seq)
{
    buf_reset(&fixture.writes, 1024 * 1024);
    rpc_write_encode(&fixture.writes,
                     &(struct rpc_write){RPC_WRITE_SET, span_of(key), span_of(value)});
    struct record_turn turn = {.object_id = span_of("object"),
                               .request_id = span_of("request"),
                               .writes = {fixture.writes.data, fixture.writes.len},
                               .write_count = 1};
    return journal_append(fixture.journal, &turn, seq);
}

static inline uint64_t fixture_append(const char *key, const char *value)
{
    uint64_t seq;
    ck_assert_int_eq(fixture_try(key, value, &seq), 0);
    return seq;
}

static inline void fixture_stop_when_heard(void *arg)
{
    static struct loop_timer timer;
    const uint64_t *seq = arg;
    if (fixture.heard >= *seq)
        loop_stop(fixture.loop);
    else
        loop_timer_set(fixture.loop, &timer, NS_PER_MS / 4, fixture_stop_when_heard, arg);
}

/* Runs the loop until on_durable has told of this record. */
static inline void fixture_wait(uint64_t seq)
{
    fixture_stop_when_heard(&seq);
    loop_run(fixture.loop);
}

#endif
