// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/state/recovery.c supervisor/state/journal.c supervisor/state/journal_batch.c
 * supervisor/state/journal_segments.c supervisor/state/committer.c
 * supervisor/state/journal_reader.c supervisor/state/segment.c supervisor/state/record.c
 * supervisor/loop.c common/buf.c common/clock.c common/codec.c common/failpoint.c
 * common/json_text.c common/log.c common/rpc.c common/file_store.c common/tsv.c common/utf8.c -lxxhash -lpthread */
/* Appending: order, group commit, durability modes, rotation, room, trimming, crashes. */
#include "common/failpoint.h"
#include "data_folder.h"
#include "journal_fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>

/* Everything that was appended is there after a new start. */
static void expect_after_restart(uint64_t count)
{
    fixture_close();
    ck_assert_msg(fixture_recover() == 0, "%s", fixture.error);
    ck_assert_uint_eq(fixture.found.torn_bytes, 0);
    ck_assert_uint_eq(fixture.found.last_seq, count);
    ck_assert_uint_eq(fixture.replayed, count);
}

START_TEST(numbers_rise_by_one_and_become_durable_in_order)
{
    fixture_open();
    for (uint64_t i = 1; i <= 500; i++) {
        ck_assert_uint_eq(fixture_append("key", "1"), i);
        ck_assert_uint_eq(journal_last(fixture.journal), i);
        ck_assert_uint_lt(journal_durable(fixture.journal), i);
        if (i % 50 == 0)
            fixture_wait(i);
    }
    expect_after_restart(500);
}
END_TEST

START_TEST(what_comes_during_a_sync_shares_the_next)
{
    fixture_open();
    uint64_t seq = fixture_append("first", "1");
    fixture_wait(seq);
    uint64_t batches = journal_counters(fixture.journal)->batches;
    for (int i = 0; i < 100; i++)
        seq = fixture_append("key", "1");
    journal_round(fixture.journal); /* the hundred are on their way */
    for (int i = 0; i < 100; i++) {
        seq = fixture_append("key", "2");
        journal_round(fixture.journal); /* the committer is busy, or takes one more batch */
    }
    fixture_wait(seq);
    ck_assert_uint_lt(journal_counters(fixture.journal)->batches - batches, 100);
    expect_after_restart(201);
}
END_TEST

START_TEST(nothing_counts_as_durable_before_its_batch)
{
    fixture_open();
    fixture_append("key", "1");
    ck_assert_uint_eq(journal_durable(fixture.journal), 0);
    journal_flush(fixture.journal);
    ck_assert_uint_eq(journal_durable(fixture.journal), 1);
    ck_assert_uint_eq(fixture.heard, 0); /* the owner hears of it from the loop */
    fixture_wait(1);
    fixture_close();
}
END_TEST

START_TEST(modes_sync_as_they_promise)
{
    static const struct {
        enum durability mode;
        uint64_t least, most; /* syncs of ten batches */
    } cases[] = {{DURABILITY_FSYNC, 10, 12}, {DURABILITY_INTERVAL, 1, 9}, {DURABILITY_NONE, 0, 0}};
    fixture.durability = cases[_i].mode;
    fixture.sync_interval_ns = 20 * NS_PER_MS;
    fixture_open();
    for (int i = 0; i < 10; i++)
        fixture_wait(fixture_append("key", "1"));
    static struct loop_timer pause;
    loop_timer_set(fixture.loop, &pause, 60 * NS_PER_MS, (loop_timer_fn)loop_stop, fixture.loop);
    loop_run(fixture.loop);
    uint64_t syncs = journal_counters(fixture.journal)->syncs;
    ck_assert_uint_ge(syncs, cases[_i].least);
    ck_assert_uint_le(syncs, cases[_i].most);
    expect_after_restart(10);
}
END_TEST

START_TEST(segments_follow_each_other)
{
    fixture.durability = (enum durability)_i;
    fixture_open();
    char value[400];
    memset(value, '7', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    uint64_t seq = 0;
    for (int i = 0; i < 2000; i++) {
        seq = fixture_append("key", value);
        if (i % 100 == 0)
            fixture_wait(seq);
    }
    fixture_wait(seq);
    size_t closed;
    const struct recovery_segment *segments = journal_closed(fixture.journal, &closed);
    ck_assert_uint_ge(closed, 10);
    for (size_t i = 1; i < closed; i++)
        ck_assert_uint_eq(segments[i].first_seq, segments[i - 1].last_seq + 1);
    ck_assert_uint_eq(journal_closed_bytes(fixture.journal), closed * fixture.segment_size);
    expect_after_restart(2000);
}
END_TEST

START_TEST(a_record_larger_than_a_segment_gets_a_larger_one)
{
    enum { LARGE = 3 * 1024 * 1024 };
    char *value = malloc(LARGE);
    memset(value, '\\', LARGE - 1); /* twice as long on disk */
    value[LARGE - 1] = '\0';
    fixture_open();
    for (int i = 0; i < 3; i++) {
        fixture_append("small", "1");
        fixture_append("large", value);
    }
    free(value);
    fixture_wait(6);
    expect_after_restart(6);
}
END_TEST

START_TEST(the_first_record_may_be_the_large_one)
{
    enum { LARGE = 200000 };
    char *value = malloc(LARGE);
    memset(value, '7', LARGE - 1);
    value[LARGE - 1] = '\0';
    fixture_open();
    fixture_append("large", value);
    free(value);
    expect_after_restart(1);
}
END_TEST

START_TEST(numbers_can_be_skipped)
{
    fixture_open();
    fixture_append("key", "1");
    journal_skip(fixture.journal, 0); /* behind us: nothing */
    ck_assert_uint_eq(fixture_append("key", "1"), 2);
    journal_skip(fixture.journal, 100);
    journal_skip(fixture.journal, 50);
    ck_assert_uint_eq(fixture_append("key", "1"), 101);
    ck_assert_uint_eq(fixture_append("key", "1"), 102);
    journal_skip(fixture.journal, 200);
    fixture_close();
    fixture.floor_seq = 150;
    fixture_open();
    ck_assert_uint_eq(fixture.replayed, 4);
    ck_assert_uint_eq(fixture_append("key", "1"), 151);
    fixture_close();
    ck_assert_msg(fixture_recover() == 0, "%s", fixture.error);
    ck_assert_uint_eq(fixture.replayed, 5);
    ck_assert_uint_eq(fixture.found.last_seq, 151);
}
END_TEST

START_TEST(starts_without_records_leave_nothing)
{
    for (int i = 0; i < 5; i++) {
        fixture_open();
        fixture_close();
    }
    uint64_t *files;
    ck_assert_int_eq(segment_list(fixture.folder_fd, &files), 0);
    free(files);
}
END_TEST

static size_t count_files(void)
{
    uint64_t *files;
    ssize_t n = segment_list(fixture.folder_fd, &files);
    ck_assert_int_ge(n, 0);
    free(files);
    return (size_t)n;
}

START_TEST(trimming_keeps_what_is_needed_and_the_newest)
{
    fixture_open();
    char value[600];
    memset(value, '7', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    for (int i = 0; i < 500; i++)
        fixture_append("key", value);
    fixture_close();
    fixture_open();
    size_t before, after;
    const struct recovery_segment *closed = journal_closed(fixture.journal, &before);
    ck_assert_uint_ge(before, 4);
    uint64_t needed = closed[2].first_seq + 1;
    journal_trim(fixture.journal, needed);
    fixture_close();
    ck_assert_uint_eq(count_files(), before - 2);

    fixture_open();
    journal_trim(fixture.journal, UINT64_MAX);
    fixture_close();
    ck_assert_uint_eq(count_files(), 1); /* the newest record stays: it carries the number */
    fixture_open();
    ck_assert_uint_eq(fixture_append("key", "1"), 501);
    journal_closed(fixture.journal, &after);
    ck_assert_uint_eq(after, 1);
    fixture_close();
}
END_TEST

#ifdef OBJECTD_FAILPOINTS

static void refused_until_there_is_room(const char *failpoint)
{
    failpoint_arm(failpoint);
    fixture_open();
    uint64_t seq, appended = 0;
    char value[3000];
    memset(value, '7', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    int err = 0;
    while ((err = fixture_try("key", value, &seq)) == 0) {
        ck_assert_uint_eq(seq, ++appended);
        ck_assert_uint_lt(appended, 100);
    }
    ck_assert_int_eq(err, -ENOSPC);
    ck_assert(journal_counters(fixture.journal)->out_of_room);
    ck_assert(journal_refuses(fixture.journal, sizeof(value)));
    ck_assert_uint_eq(journal_last(fixture.journal), appended);
    if (appended)
        fixture_wait(appended); /* what was accepted still becomes durable */
    failpoint_arm(NULL);
    /* Heals by itself. */
    while ((err = fixture_try("key", value, &seq)) == -ENOSPC) {
        static struct loop_timer pause;
        loop_timer_set(fixture.loop, &pause, 10 * NS_PER_MS, (loop_timer_fn)loop_stop,
                       fixture.loop);
        loop_run(fixture.loop);
    }
    ck_assert_int_eq(err, 0);
    ck_assert_uint_eq(seq, appended + 1);
    ck_assert(!journal_counters(fixture.journal)->out_of_room);
    expect_after_restart(appended + 1);
}

START_TEST(a_full_disk_refuses_and_heals)
{
    static const char *const points[] = {"spare-open:1+=enospc", "spare-open:2+=enospc",
                                         "spare-write:1+=enospc", "spare-sync:1+=eio",
                                         "spare-sync:2+=enospc"};
    refused_until_there_is_room(points[_i]);
}
END_TEST

/* A child appends for ever and tells the parent what is durable; it dies at the failpoint. */
static _Noreturn void run_victim(int out)
{
    char value[500];
    memset(value, '7', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    fixture_open();
    for (int i = 0; i < 5000; i++) {
        uint64_t seq = fixture_append("a", value);
        fixture_wait(seq);
        if (write(out, &fixture.heard, sizeof(fixture.heard)) != sizeof(fixture.heard))
            _exit(1);
        if (i % 200 == 150)
            journal_trim(fixture.journal, seq > 100 ? seq - 100 : 1);
    }
    _exit(0);
}

static uint64_t highest_told(int in)
{
    uint64_t seq, highest = 0;
    while (read(in, &seq, sizeof(seq)) == sizeof(seq))
        highest = seq;
    return highest;
}

static void crash_at(const char *failpoint, int expected_signal, int expected_code)
{
    int out[2], status;
    ck_assert_int_eq(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (expected_code) { /* the message about it is expected */
            int null = open("/dev/null", O_WRONLY);
            dup2(null, STDERR_FILENO);
        }
        failpoint_arm(failpoint);
        run_victim(out[1]);
    }
    close(out[1]);
    uint64_t told = highest_told(out[0]);
    close(out[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (expected_signal)
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == expected_signal, "%s: %x",
                      failpoint, status);
    else
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == expected_code, "%s: %x",
                      failpoint, status);
    fixture.boot++;
    ck_assert_msg(fixture_recover() == 0, "%s: %s", failpoint, fixture.error);
    ck_assert_uint_ge(fixture.found.last_seq, told);
    fixture_open(); /* and goes on */
    uint64_t next = fixture_append("b", "1");
    ck_assert_uint_gt(next, told);
    fixture_close();
    ck_assert_msg(fixture_recover() == 0, "%s: %s", failpoint, fixture.error);
    ck_assert_uint_eq(fixture.found.last_seq, next);
}

static const char *const write_points[] = {
    "journal-write", "journal-written", "journal-sync", "journal-synced",
    "rotate-rename", "rotate-renamed",  "folder-sync",  "folder-synced",
};
static const char *const other_points[] = {
    "spare-open", "spare-write", "spare-sync", "trim-unlink", "trim-unlinked",
};
enum {
    WRITE_POINTS = sizeof(write_points) / sizeof(write_points[0]),
    OTHER_POINTS = sizeof(other_points) / sizeof(other_points[0]),
};

START_TEST(a_crash_anywhere_loses_nothing_durable)
{
    static const unsigned passes[] = {1, 2, 3};
    const char *point = _i < WRITE_POINTS ? write_points[_i] : other_points[_i - WRITE_POINTS];
    char spec[64];
    for (size_t i = 0; i < 3; i++) {
        unsigned pass = passes[i] + (strncmp(point, "journal", 7) == 0 ? 150 * passes[i] : 0);
        snprintf(spec, sizeof(spec), "%s:%u=crash", point, pass);
        crash_at(spec, SIGKILL, 0);
    }
}
END_TEST

START_TEST(a_failed_write_or_sync_is_final)
{
    static const char *const errors[] = {"eio", "enospc"};
    char spec[64];
    for (size_t i = 0; i < 2; i++) {
        snprintf(spec, sizeof(spec), "%s:2=%s", write_points[_i], errors[i]);
        crash_at(spec, 0, EXIT_CODE_ENVIRONMENT);
    }
}
END_TEST

START_TEST(a_trim_that_fails_is_tried_again)
{
    fixture_open();
    char value[600];
    memset(value, '7', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    for (int i = 0; i < 500; i++)
        fixture_append("key", value);
    fixture_close();
    size_t before = count_files();
    failpoint_arm("trim-unlink=eio");
    fixture_open();
    journal_trim(fixture.journal, 200);
    fixture_close();
    ck_assert_uint_eq(count_files(), before);
    fixture_open();
    journal_trim(fixture.journal, 200);
    fixture_close();
    ck_assert_uint_lt(count_files(), before);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *tc = tcase_create("journal");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_test(tc, numbers_rise_by_one_and_become_durable_in_order);
    tcase_add_test(tc, what_comes_during_a_sync_shares_the_next);
    tcase_add_test(tc, nothing_counts_as_durable_before_its_batch);
    tcase_add_loop_test(tc, modes_sync_as_they_promise, 0, 3);
    tcase_add_loop_test(tc, segments_follow_each_other, 0, 3);
    tcase_add_test(tc, a_record_larger_than_a_segment_gets_a_larger_one);
    tcase_add_test(tc, the_first_record_may_be_the_large_one);
    tcase_add_test(tc, numbers_can_be_skipped);
    tcase_add_test(tc, starts_without_records_leave_nothing);
    tcase_add_test(tc, trimming_keeps_what_is_needed_and_the_newest);
#ifdef OBJECTD_FAILPOINTS
    tcase_add_loop_test(tc, a_full_disk_refuses_and_heals, 0, 5);
    tcase_add_loop_test(tc, a_crash_anywhere_loses_nothing_durable, 0, WRITE_POINTS + OTHER_POINTS);
    tcase_add_loop_test(tc, a_failed_write_or_sync_is_final, 0, WRITE_POINTS);
    tcase_add_test(tc, a_trim_that_fails_is_tried_again);
#endif
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
