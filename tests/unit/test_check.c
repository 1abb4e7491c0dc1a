// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/ctl/check.c supervisor/ctl/check_report.c supervisor/ctl/check_state.c
 * supervisor/versions/version_line.c supervisor/versions/version_log.c
 * supervisor/scribe/tail_reader.c supervisor/objects/source.c common/sha256.c
 * supervisor/ctl/check_log.c supervisor/ctl/check_versions.c supervisor/ctl/check_journal.c
 * supervisor/log/log_line.c supervisor/state/recovery.c supervisor/state/journal_reader.c
 * supervisor/state/segment.c supervisor/state/record.c common/state_file.c common/json_scan.c
 * common/json_text.c common/time_text.c common/tsv.c common/buf.c common/codec.c common/utf8.c
 * common/log.c common/clock.c common/rpc.c common/file_store.c common/failpoint.c -ljansson
 * -lxxhash -lsodium */
/* objectctl check: clean folders are clean, and everything wrong is named with its place. */
#include "supervisor/ctl/check.h"
#include "tests/unit/data_folder.h"
#include "tests/unit/journal_text.h"

#include <errno.h>
#include <sys/file.h>

static char *said;

static void set_up(void)
{
    data_folder_make();
}

static void tear_down(void)
{
    free(said);
    data_folder_remove();
}

static int run_check(void)
{
    size_t size;
    free(said);
    FILE *out = open_memstream(&said, &size);
    int findings = check_data(data_dir, out);
    fclose(out);
    return findings;
}

/* One finding: "<data_dir>/<path>:<what>". */
static void expect_one(const char *path, const char *what)
{
    char line[512];
    int findings = run_check();
    snprintf(line, sizeof(line), "%s/%s:%s\n", data_dir, path, what);
    ck_assert_msg(findings == 1 && strstr(said, line), "%d: wanted %s in\n%s", findings, line,
                  said);
}

static void write_clean(void)
{
    struct journal_text j = journal_text_begin(1);
    journal_text_turn(&j, "a", span_of("k"), "1");
    journal_text_turn(&j, "a", span_of("k"), NULL);
    for (int i = 0; i < 1000; i++)
        buf_putc(&j.text, '\n'); /* preallocated */
    journal_text_end(&j);
    data_write_text("state/a/state.tsv",
                    "#objectd-state 1 seq=2\na\\tb\t[1,\"\\\\n\"]\t1.5\nb\t\t2\nbb\tnull\t3\tx\n");
    data_write_text("state/old/state.tsv", "key\tvalue\ttimestamp\nz\tb\\ad\t5\na\t\t1\n");
    data_write_text("logs/a/log.tsv",
                    "timestamp\tlevel\tmessage\trequest_id\tversion\tfields\n"
                    "2023-11-14T22:13:20.000000Z\tINFO\tx\\ny\tr\t1\t{\"a\":\"\\\\n\"}\n"
                    "1700000000.5\tSTDOUT\t\t\t\t\n");
    data_write_text("logs/a/log-20231101-000000.tsv",
                    "timestamp\tlevel\tmessage\tuser\n1\tINFO\tC:\\dir\n");
    data_write_text(
        "versions/a/metadata.tsv",
        "version_id\ttimestamp\tauthor\tmessage\thash\tstatus\treason\n"
        "1\t1700000000.5\tada\tfirst\t"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\taccepted\t\n");
    data_write_text("versions/a/v1.txt", "");
    data_write_text("objectd.lock", "1\n");
}

START_TEST(clean_folder)
{
    write_clean();
    ck_assert_msg(run_check() == 0, "%s", said);
    ck_assert_ptr_nonnull(strstr(said, " files, 11 entries, 0 wrong\n"));
    ck_assert_ptr_null(strstr(said, "note:"));
}
END_TEST

START_TEST(empty_folder)
{
    ck_assert_int_eq(run_check(), 0);
}
END_TEST

START_TEST(folder_that_is_not_there)
{
    ck_assert_int_eq(check_data("/nonexistent/data", stdout), -ENOENT);
    data_write_text("file", "");
    ck_assert_int_eq(check_data(data_path("file"), stdout), -ENOTDIR);
}
END_TEST

static const struct {
    const char *path, *text, *what;
} wrong[] = {
    {"state/a/state.tsv", "#objectd-state 1 seq=2\nb\t1\t1\na\t1\t1\n", "3: out of order"},
    {"state/a/state.tsv", "#objectd-state 1 seq=2\nbb\t1\t1\nb\t1\t1\n", "3: out of order"},
    {"state/a/state.tsv", "#objectd-state 1 seq=2\nb\t1\t1\nb\t1\t1\n", "3: the same key again"},
    {"state/a/state.tsv", "#objectd-state 1 seq=2\nb\t{1}\t1\n", "2: value is not JSON"},
    {"state/a/state.tsv", "#objectd-state 1 seq=2\nb\t1\tx\n", "2: malformed timestamp"},
    {"state/a/state.tsv", "#objectd-state 1 seq=2\nb\t1\n", "2: no timestamp column"},
    {"state/a/state.tsv", "#objectd-state 1 seq=2\nb\t1\t1", "2: cut off"},
    {"state/a/state.tsv", "#objectd-state 1 seq=2\nb\\x\t1\t1\n", "2: an unknown escape"},
    {"state/a/state.tsv", "#objectd-state 1 seq=2\nb\xff\t1\t1\n", "2: not UTF-8"},
    {"state/a/state.tsv", "#objectd-state 9 seq=2\n",
     "1: not a version of this file that is known here"},
    {"state/old/state.tsv", "a\t1\t1\nb\n", "2: no value column"},
    {"logs/a/log.tsv", "1\tINFO\tx\t\t\t\n", "1: no header"},
    {"logs/a/log.tsv", "timestamp\tlevel\tmessage\trequest_id\tversion\tfields\n1\tINFO\tx\t\t\n",
     "2: 5 columns instead of 6"},
    {"logs/a/log.tsv",
     "timestamp\tlevel\tmessage\trequest_id\tversion\tfields\nnow\tINFO\tx\t\t\t\n",
     "2: malformed timestamp"},
    {"logs/a/log.tsv", "timestamp\tlevel\tmessage\trequest_id\tversion\tfields\n1\t\tx\t\t\t\n",
     "2: no level"},
    {"logs/a/log.tsv",
     "timestamp\tlevel\tmessage\trequest_id\tversion\tfields\n1\tINFO\tx\t\t\t[1]\n",
     "2: fields is not a JSON object"},
    {"logs/a/log.tsv",
     "timestamp\tlevel\tmessage\trequest_id\tversion\tfields\n1\tINFO\tx\\y\t\t\t\n",
     "2: an unknown escape"},
    {"logs/a/log-20231101-000000.tsv", "timestamp\tmessage\n1\tx\ty\n",
     "2: 3 columns instead of 2"},
    {"versions/a/metadata.tsv", "1\t2\t3\t4\t5\n", "1: no header"},
    {"versions/a/metadata.tsv", "version_id\ttimestamp\tauthor\tmessage\thash\n1\t2\n",
     "2: too few columns"},
    {"versions/a/metadata.tsv",
     "version_id\ttimestamp\tauthor\tmessage\thash\n"
     "1\t2\ta\tm\t0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n",
     "2: malformed hash"},
    {"versions/a/metadata.tsv",
     "version_id\ttimestamp\tauthor\tmessage\thash\n"
     "2\t2\ta\tm\te3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
     "2: v2.txt: No such file or directory"},
    {"versions/a/metadata.tsv",
     "version_id\ttimestamp\tauthor\tmessage\thash\n"
     "1\t2\ta\tm\te3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
     "1\t2\ta\tm\te3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
     "3: version_id does not grow"},
    {"versions/a/metadata.tsv",
     "version_id\ttimestamp\tauthor\tmessage\thash\n"
     "x\t2\ta\tm\te3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
     "2: malformed version_id"},
    {"versions/a/metadata.tsv",
     "version_id\ttimestamp\tauthor\tmessage\thash\n"
     "1\t2\ta\tm\t0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
     "2: v1.txt is not what was stored: its hash differs"},
    {"versions/a/metadata.tsv",
     "version_id\ttimestamp\tauthor\tmessage\thash\tstatus\treason\n"
     "1\t2\ta\tm\te3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\tmaybe\t\n",
     "2: malformed status"},
    {"versions/a/metadata.tsv",
     "version_id\ttimestamp\tauthor\tmessage\thash\n"
     "1\tlately\ta\tm\te3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
     "2: malformed timestamp"},
    {"versions/a/metadata.tsv",
     "version_id\ttimestamp\tauthor\tmessage\thash\tstatus\treason\n"
     "1\t2\ta\tm\te3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\taccepted\t\n2\t"
     "2",
     " the last line was cut off"},
};

START_TEST(what_is_wrong_is_named)
{
    write_clean();
    data_write_text(wrong[_i].path, wrong[_i].text);
    expect_one(wrong[_i].path, wrong[_i].what);
}
END_TEST

START_TEST(damaged_journal)
{
    write_clean();
    char *text = data_read("journal/000000000001.tsv");
    struct journal_text j = journal_text_begin(3); /* claims that all before it was durable */
    buf_free(&j.text);
    struct record_control header = {.boot = 1,
                                    .station = span_of("t"),
                                    .previous_seq = 2,
                                    .durable = {1, strlen(text)},
                                    .durable_seq = 2};
    record_put_header(&j.text, (struct record_stamp){3, j.hlc}, &header);
    journal_text_turn(&j, "a", span_of("k"), "1");
    journal_text_end(&j);
    *strstr(text, "\tset\t") = 'X';
    data_write_text("journal/000000000001.tsv", text);
    free(text);
    ck_assert_int_eq(run_check(), 1);
    ck_assert_ptr_nonnull(strstr(said, "/journal/000000000001.tsv:"));
}
END_TEST

START_TEST(torn_tail_is_only_noted)
{
    write_clean();
    char *text = data_read("journal/000000000001.tsv");
    char *end = strstr(text, "\tdel\t");
    data_write("journal/000000000001.tsv", text, (size_t)(end - text));
    free(text);
    ck_assert_msg(run_check() == 0, "%s", said);
    ck_assert_ptr_nonnull(strstr(said, "note: "));
    ck_assert_ptr_nonnull(strstr(said, "cuts them off"));
}
END_TEST

START_TEST(bad_value_in_the_journal)
{
    struct journal_text j = journal_text_begin(1);
    journal_text_turn(&j, "a", span_of("k"), "not json");
    journal_text_turn(&j, "a", span_of("\xff"), "1");
    journal_text_end(&j);
    ck_assert_int_eq(run_check(), 2);
    ck_assert_ptr_nonnull(strstr(said, "/journal: record 1: a value is not JSON\n"));
    ck_assert_ptr_nonnull(strstr(said, "/journal: record 2: malformed key\n"));
}
END_TEST

START_TEST(running_station_is_noted)
{
    write_clean();
    int fd = data_open("objectd.lock");
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    ck_assert_msg(run_check() == 0, "%s", said);
    ck_assert_ptr_nonnull(strstr(said, "note: a station is running"));
    close(fd);
    run_check();
    ck_assert_ptr_null(strstr(said, "note:"));
}
END_TEST

START_TEST(thousands_of_findings_are_counted)
{
    struct buf text = BUF_INIT;
    buf_puts(&text, "#objectd-state 1 seq=2\n");
    for (int i = 0; i < 5000; i++)
        buf_puts(&text, "broken\n");
    data_write("state/a/state.tsv", text.data, text.len);
    buf_free(&text);
    ck_assert_int_eq(run_check(), 5000);
    ck_assert_ptr_nonnull(strstr(said, "/state/a/state.tsv: and 4980 more\n"));
    ck_assert_uint_lt(strlen(said), 4000);
}
END_TEST

START_TEST(large_numbers_are_json)
{
    char digits[1001];
    struct buf text = BUF_INIT;
    memset(digits, '9', 1000);
    digits[1000] = '\0';
    buf_printf(&text, "#objectd-state 1 seq=2\nbig\t%s\t1\n", digits);
    data_write("state/a/state.tsv", text.data, text.len);
    buf_free(&text);
    ck_assert_int_eq(run_check(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check");
    TCase *tcase = tcase_create("check");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, clean_folder);
    tcase_add_test(tcase, empty_folder);
    tcase_add_test(tcase, folder_that_is_not_there);
    tcase_add_loop_test(tcase, what_is_wrong_is_named, 0, sizeof(wrong) / sizeof(wrong[0]));
    tcase_add_test(tcase, damaged_journal);
    tcase_add_test(tcase, torn_tail_is_only_noted);
    tcase_add_test(tcase, bad_value_in_the_journal);
    tcase_add_test(tcase, running_station_is_noted);
    tcase_add_test(tcase, thousands_of_findings_are_counted);
    tcase_add_test(tcase, large_numbers_are_json);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
