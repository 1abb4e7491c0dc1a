// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/scribe/checkpoint_merge.c supervisor/scribe/checkpoint_group.c
 * supervisor/scribe/merged_state.c supervisor/scribe/sorted_state.c supervisor/scribe/overlay.c
 * supervisor/scribe/state_dump.c supervisor/scribe/scribe_rpc.c supervisor/scribe/document.c
 * supervisor/state/journal_reader.c supervisor/state/segment.c supervisor/state/record.c
 * common/state_file.c common/tsv.c common/buf.c common/codec.c common/json_text.c
 * common/json_scan.c common/utf8.c common/log.c common/clock.c common/memfd.c common/rpc.c common/file_store.c
 * common/failpoint.c -lxxhash */
/* Checkpoints: the journal's newer records over the old file; and the state as a document. */
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/memfd.h"
#include "common/state_file.h"
#include "supervisor/scribe/checkpoint_merge.h"
#include "supervisor/scribe/state_dump.h"
#include "tests/unit/data_folder.h"
#include "tests/unit/journal_text.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

enum { OBJECTS_MAX = 4 };

static struct {
    int calls, err;
    uint64_t keys;
} results[OBJECTS_MAX];

static void set_up(void)
{
    data_folder_make();
    memset(results, 0, sizeof(results));
}

static void on_done(void *arg, size_t index, int err, uint64_t keys)
{
    (void)arg;
    ck_assert_uint_lt(index, OBJECTS_MAX);
    results[index].calls++;
    results[index].err = err;
    results[index].keys = keys;
}

static int merge(const char *object_id, uint64_t after, uint64_t upto)
{
    struct scribe_checkpoint object = {object_id, after, upto};
    results[0].calls = 0;
    checkpoint_merge(data_dir, &object, 1, on_done, NULL);
    ck_assert_int_eq(results[0].calls, 1);
    return results[0].err;
}

/* Turns 1 to 5: two objects, a key written twice, a key deleted. */
static void write_journal(void)
{
    struct journal_text j = journal_text_begin(1);
    journal_text_turn(&j, "a", span_of("m"), "1");
    journal_text_turn(&j, "b", span_of("x"), "\"other\"");
    journal_text_turn(&j, "a", span_of("b\tb"), "{\"deep\":\"\\n\"}");
    journal_text_turn(&j, "a", span_of("m"), "2");
    journal_text_turn(&j, "a", span_of("old"), NULL);
    journal_text_end(&j);
}

START_TEST(first_checkpoint)
{
    write_journal();
    ck_assert_int_eq(merge("a", 0, 5), 0);
    ck_assert_uint_eq(results[0].keys, 2);
    data_expect("state/a/state.tsv", "#objectd-state 1 seq=5\n"
                                     "b\\tb\t{\"deep\":\"\\\\n\"}\t1700000000.000003\n"
                                     "m\t2\t1700000000.000004\n");
    struct stat st;
    ck_assert_int_eq(stat(data_path("state/a/state.tsv"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(stat(data_path("state/a"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
    ck_assert_int_lt(access(data_path("state/a/state.tsv.tmp"), F_OK), 0);
    ck_assert_int_lt(access(data_path("state/b"), F_OK), 0);
}
END_TEST

START_TEST(merges_into_the_old_file)
{
    write_journal();
    data_write_text("state/a/state.tsv", "#objectd-state 1 seq=2\n"
                                         "aa\ttrue\t5.000000\n"
                                         "dead\t\t6.000000\n"
                                         "m\t1\t7.000000\n"
                                         "old\t3\t8.000000\n"
                                         "zz\tnull\t9.000000\tstation\n");
    ck_assert_int_eq(merge("a", 2, 4), 0);
    ck_assert_uint_eq(results[0].keys, 5);
    data_expect("state/a/state.tsv", "#objectd-state 1 seq=4\n"
                                     "aa\ttrue\t5.000000\n"
                                     "b\\tb\t{\"deep\":\"\\\\n\"}\t1700000000.000003\n"
                                     "m\t2\t1700000000.000004\n"
                                     "old\t3\t8.000000\n"
                                     "zz\tnull\t9.000000\n");
    ck_assert_int_eq(merge("a", 4, 5), 0);
    ck_assert_uint_eq(results[0].keys, 4);
}
END_TEST

START_TEST(older_records_are_not_applied_again)
{
    write_journal();
    /* the file is further than the supervisor knew: turn 4 had been merged, then lost its answer */
    data_write_text("state/a/state.tsv", "#objectd-state 1 seq=4\nm\t2\t1.000000\n");
    ck_assert_int_eq(merge("a", 0, 3), 0);
    data_expect("state/a/state.tsv", "#objectd-state 1 seq=4\nm\t2\t1.000000\n");
    ck_assert_uint_eq(results[0].keys, 1);
}
END_TEST

START_TEST(file_put_there_by_hand_is_taken_whole)
{
    write_journal();
    data_write_text("state/a/state.tsv", "m\tby hand\nkept\t7\n");
    ck_assert_int_eq(merge("a", 4, 5), 0);
    data_expect("state/a/state.tsv", "#objectd-state 1 seq=5\nkept\t7\t\nm\t\"by hand\"\t\n");
}
END_TEST

START_TEST(legacy_file_is_sorted_and_converted)
{
    write_journal();
    data_write_text("state/a/state.tsv", "key\tvalue\ttimestamp\nz\t1\t5.5\nm\tfirst\t6\n"
                                         "old\tx\t7\nb\t007\t8\nz\t2\t9\n");
    ck_assert_int_eq(merge("a", 0, 5), 0);
    data_expect("state/a/state.tsv", "#objectd-state 1 seq=5\n"
                                     "b\t\"007\"\t8\n"
                                     "b\\tb\t{\"deep\":\"\\\\n\"}\t1700000000.000003\n"
                                     "m\t2\t1700000000.000004\n"
                                     "z\t2\t9\n");
}
END_TEST

START_TEST(unsorted_file_of_ours_is_sorted)
{
    write_journal();
    data_write_text("state/a/state.tsv",
                    "#objectd-state 1 seq=2\nz\t1\t1.0\nc\t1\t1.0\nz\t2\t1.0\n");
    ck_assert_int_eq(merge("a", 2, 3), 0);
    data_expect("state/a/state.tsv", "#objectd-state 1 seq=3\n"
                                     "b\\tb\t{\"deep\":\"\\\\n\"}\t1700000000.000003\n"
                                     "c\t1\t1.0\nz\t2\t1.0\n");
}
END_TEST

START_TEST(several_objects_in_one_pass)
{
    write_journal();
    struct journal_text j = journal_text_begin(6);
    journal_text_turn(&j, "b", span_of("x"), "6");
    journal_text_turn(&j, "c", span_of("x"), "7");
    journal_text_end(&j);
    struct scribe_checkpoint objects[] = {{"a", 0, 5}, {"b", 0, 6}, {"none", 0, 6}, {"c", 0, 6}};
    checkpoint_merge(data_dir, objects, 4, on_done, NULL);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(results[i].calls, 1);
        ck_assert_int_eq(results[i].err, 0);
    }
    data_expect("state/b/state.tsv", "#objectd-state 1 seq=6\nx\t6\t1700000000.000001\n");
    ck_assert_int_lt(access(data_path("state/none"), F_OK), 0); /* nothing to write */
    ck_assert_int_lt(access(data_path("state/c"), F_OK), 0);    /* only record 7 is of c */
}
END_TEST

START_TEST(deleting_all_leaves_an_empty_file)
{
    struct journal_text j = journal_text_begin(1);
    journal_text_turn(&j, "a", span_of("k"), "1");
    journal_text_turn(&j, "a", span_of("k"), NULL);
    journal_text_end(&j);
    ck_assert_int_eq(merge("a", 0, 2), 0);
    data_expect("state/a/state.tsv", "#objectd-state 1 seq=2\n");
    ck_assert_uint_eq(results[0].keys, 0);
}
END_TEST

START_TEST(damaged_file_stands)
{
    static const char damaged[] = "#objectd-state 1 seq=2\na\t1\t1.0\nbroken\n";
    write_journal();
    data_write_text("state/a/state.tsv", damaged);
    ck_assert_int_eq(merge("a", 2, 5), -EBADMSG);
    data_expect("state/a/state.tsv", damaged);
    ck_assert_int_lt(access(data_path("state/a/state.tsv.tmp"), F_OK), 0);
}
END_TEST

START_TEST(damaged_or_missing_journal_is_an_error)
{
    ck_assert_int_eq(merge("a", 0, 5), -ENOENT);
    write_journal();
    ck_assert_int_eq(merge("a", 0, 6), -EBADMSG); /* it ends before */
    char *text = data_read("journal/000000000001.tsv");
    text[strlen(text) / 2] ^= 1;
    data_write_text("journal/000000000001.tsv", text);
    free(text);
    ck_assert_int_eq(merge("a", 0, 5), -EBADMSG);
    ck_assert_int_lt(access(data_path("state/a/state.tsv"), F_OK), 0);
}
END_TEST

START_TEST(ids_stay_inside_the_folder)
{
    write_journal();
    ck_assert_int_eq(merge("../a", 0, 5), -EINVAL);
    ck_assert_int_eq(merge("..", 0, 5), -EINVAL);
    ck_assert_int_eq(merge("", 0, 5), -EINVAL);
}
END_TEST

START_TEST(same_object_twice_is_refused)
{
    write_journal();
    struct scribe_checkpoint objects[] = {{"a", 0, 5}, {"a", 0, 4}};
    checkpoint_merge(data_dir, objects, 2, on_done, NULL);
    ck_assert_int_eq(results[0].err, 0);
    ck_assert_int_eq(results[1].err, -EINVAL);
}
END_TEST

START_TEST(symlink_for_the_temporary_file_is_not_followed)
{
    write_journal();
    data_write_text("state/a/state.tsv", "#objectd-state 1 seq=2\n");
    data_write_text("victim", "untouched");
    ck_assert_int_eq(symlink(data_path("victim"), data_path("state/a/state.tsv.tmp")), 0);
    ck_assert_int_eq(merge("a", 2, 5), -ELOOP);
    data_expect("victim", "untouched");
}
END_TEST

#ifdef OBJECTD_FAILPOINTS
static const char *const steps[] = {
    "checkpoint_mkdir",  "checkpoint_open",         "checkpoint_written", "checkpoint_fsync",
    "checkpoint_rename", "checkpoint_fsync_folder", "checkpoint_done"};

START_TEST(a_step_that_fails_is_reported_and_can_be_repeated)
{
    char list[64];
    write_journal();
    snprintf(list, sizeof(list), "%s=enospc", steps[_i]);
    failpoint_arm(list);
    ck_assert_int_eq(merge("a", 0, 5), -ENOSPC);
    failpoint_arm(NULL);
    ck_assert_int_eq(merge("a", 0, 5), 0);
    ck_assert_uint_eq(results[0].keys, 2);
}
END_TEST

START_TEST(a_crash_at_any_step_leaves_a_whole_file)
{
    static const char before[] = "#objectd-state 1 seq=2\nm\t1\t1.0\nold\t3\t1.0\n";
    static const char after[] = "#objectd-state 1 seq=5\n"
                                "b\\tb\t{\"deep\":\"\\\\n\"}\t1700000000.000003\n"
                                "m\t2\t1700000000.000004\n";
    char list[64];
    int status;
    write_journal();
    data_write_text("state/a/state.tsv", before);
    snprintf(list, sizeof(list), "%s=crash", steps[_i]);
    pid_t child = fork();
    if (child == 0) {
        failpoint_arm(list);
        merge("a", 2, 5);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    char *text = data_read("state/a/state.tsv");
    ck_assert_msg(strcmp(text, before) == 0 || strcmp(text, after) == 0, "%s", text);
    free(text);
    ck_assert_int_eq(merge("a", 2, 5), 0);
    data_expect("state/a/state.tsv", after);
}
END_TEST
#endif

static char *dump(const char *object_id, const char *key, struct span writes, uint32_t count,
                  int *err)
{
    struct scribe_rpc_dump what = {.object_id = span_of(object_id),
                                   .key = span_of(key),
                                   .prefix = span_of("<"),
                                   .suffix = span_of(">"),
                                   .write_count = count,
                                   .writes = writes};
    uint64_t size = 0;
    int fd = state_dump(data_dir, &what, &size);
    *err = fd < 0 ? fd : 0;
    if (fd < 0)
        return NULL;
    ck_assert_int_eq(memfd_verify(fd, size), 0);
    char *text = calloc(1, size + 1);
    ck_assert_int_eq(memfd_read(fd, text, size), 0);
    close(fd);
    return text;
}

static void expect_dump(const char *object_id, const char *key, struct span writes, uint32_t count,
                        const char *expected)
{
    int err;
    char *text = dump(object_id, key, writes, count, &err);
    ck_assert_msg(text != NULL, "%d", err);
    ck_assert_str_eq(text, expected);
    free(text);
}

static void put_write(struct buf *writes, const char *key, const char *value)
{
    struct rpc_write w = {*value ? RPC_WRITE_SET : RPC_WRITE_DELETE, span_of(key), span_of(value)};
    rpc_write_encode(writes, &w);
}

START_TEST(dump_lays_writes_over_the_file)
{
    struct buf writes = BUF_INIT;
    int err;
    expect_dump("a", "", (struct span){"", 0}, 0, "<{}>");
    data_write_text("state/a/state.tsv",
                    "#objectd-state 1 seq=1\nb\\n\\\"\t[1]\t1.0\nc\t2\t1.0\nd\t3\t1.0\n");
    expect_dump("a", "", (struct span){"", 0}, 0, "<{\"b\\n\\\\\\\"\":[1],\"c\":2,\"d\":3}>");
    put_write(&writes, "c", "7");
    put_write(&writes, "a", "\"new\"");
    put_write(&writes, "d", "");
    put_write(&writes, "c", "8");
    struct span over = {writes.data, writes.len};
    expect_dump("a", "", over, 4, "<{\"a\":\"new\",\"b\\n\\\\\\\"\":[1],\"c\":8}>");
    expect_dump("a", "c", over, 4, "<8>");
    ck_assert_ptr_null(dump("a", "d", over, 4, &err));
    ck_assert_int_eq(err, -ENOENT);
    ck_assert_ptr_null(dump("a", "bb", over, 4, &err));
    ck_assert_int_eq(err, -ENOENT);
    ck_assert_ptr_null(dump("a", "zz", over, 4, &err));
    ck_assert_int_eq(err, -ENOENT);
    buf_free(&writes);
}
END_TEST

START_TEST(dump_of_a_legacy_file_has_each_key_once)
{
    data_write_text("state/a/state.tsv", "z\tx\nb\t1\nz\t2\n");
    expect_dump("a", "", (struct span){"", 0}, 0, "<{\"b\":1,\"z\":2}>");
    data_write_text("state/a/state.tsv", "#objectd-state 1 seq=1\nz\t1\t1\nb\t2\t1\n");
    expect_dump("a", "", (struct span){"", 0}, 0, "<{\"b\":2,\"z\":1}>");
}
END_TEST

START_TEST(dump_of_damage_fails)
{
    int err;
    data_write_text("state/a/state.tsv", "#objectd-state 1 seq=1\nb\t1\t1\nbroken\n");
    ck_assert_ptr_null(dump("a", "", (struct span){"", 0}, 0, &err));
    ck_assert_int_eq(err, -EBADMSG);
    data_write_text("state/a/state.tsv", "#objectd-state 1 seq=1\nb\tnot json\t1\n");
    ck_assert_ptr_null(dump("a", "", (struct span){"", 0}, 0, &err));
    ck_assert_int_eq(err, -EBADMSG);
}
END_TEST

START_TEST(hundred_thousand_keys)
{
    enum { KEYS = 100000 };
    char key[32], value[32];
    struct journal_text j = journal_text_begin(1);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "k%06d", (i * 7919) % KEYS);
        snprintf(value, sizeof(value), "%d", i);
        journal_text_turn(&j, "a", span_of(key), value);
    }
    journal_text_end(&j);
    ck_assert_int_eq(merge("a", 0, KEYS / 2), 0);
    ck_assert_uint_eq(results[0].keys, KEYS / 2);
    ck_assert_int_eq(merge("a", KEYS / 2, KEYS), 0);
    ck_assert_uint_eq(results[0].keys, KEYS);
    struct state_file f;
    struct state_file_entry e;
    int fd = data_open("state/a/state.tsv");
    ck_assert_int_eq(state_file_open(&f, fd), 0);
    ck_assert_uint_eq(f.watermark, KEYS);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "k%06d", i);
        ck_assert_int_eq(state_file_next(&f, &e), 1);
        ck_assert(span_equal(e.key, key));
    }
    ck_assert_int_eq(state_file_next(&f, &e), 0);
    state_file_close(&f);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint_merge");
    TCase *tcase = tcase_create("checkpoint_merge");
    log_setup("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR + 1);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, data_folder_remove);
    tcase_add_test(tcase, first_checkpoint);
    tcase_add_test(tcase, merges_into_the_old_file);
    tcase_add_test(tcase, older_records_are_not_applied_again);
    tcase_add_test(tcase, file_put_there_by_hand_is_taken_whole);
    tcase_add_test(tcase, legacy_file_is_sorted_and_converted);
    tcase_add_test(tcase, unsorted_file_of_ours_is_sorted);
    tcase_add_test(tcase, several_objects_in_one_pass);
    tcase_add_test(tcase, deleting_all_leaves_an_empty_file);
    tcase_add_test(tcase, damaged_file_stands);
    tcase_add_test(tcase, damaged_or_missing_journal_is_an_error);
    tcase_add_test(tcase, ids_stay_inside_the_folder);
    tcase_add_test(tcase, same_object_twice_is_refused);
    tcase_add_test(tcase, symlink_for_the_temporary_file_is_not_followed);
#ifdef OBJECTD_FAILPOINTS
    tcase_add_loop_test(tcase, a_step_that_fails_is_reported_and_can_be_repeated, 0,
                        sizeof(steps) / sizeof(steps[0]));
    tcase_add_loop_test(tcase, a_crash_at_any_step_leaves_a_whole_file, 0,
                        sizeof(steps) / sizeof(steps[0]));
#endif
    tcase_add_test(tcase, dump_lays_writes_over_the_file);
    tcase_add_test(tcase, dump_of_a_legacy_file_has_each_key_once);
    tcase_add_test(tcase, dump_of_damage_fails);
    tcase_add_test(tcase, hundred_thousand_keys);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
