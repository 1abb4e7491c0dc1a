// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/scribe/log_keep.c supervisor/scribe/log_count.c supervisor/log/log_files.c
 * supervisor/log/log_line.c common/json_scan.c common/json_text.c common/state_file.c common/tsv.c
 * common/buf.c common/codec.c common/utf8.c common/log.c common/clock.c -ljansson */
/* Which rotated files of a log go, and how many lines there are. */
#include "common/clock.h"
#include "common/log.h"
#include "supervisor/log/log_files.h"
#include "supervisor/scribe/log_count.h"
#include "supervisor/scribe/log_keep.h"
#include "tests/unit/data_folder.h"

#include <errno.h>

#define HEADER "timestamp\tlevel\tmessage\trequest_id\tversion\tfields\n"
#define LINE   "1700000000\tINFO\tx\t\t\t\n"

static char told[1024];

static void set_up(void)
{
    data_folder_make();
    told[0] = '\0';
}

static void tear_down(void)
{
    data_folder_remove();
}

static void on_removed(void *arg, const struct scribe_rpc_log_removed *r)
{
    ck_assert_ptr_eq(arg, told);
    snprintf(told + strlen(told), sizeof(told) - strlen(told), "%.*s:%llu:%llu ",
             (int)r->object_id.len, r->object_id.data, (unsigned long long)r->files,
             (unsigned long long)r->lines);
}

static int keep(const char *object_id, uint64_t files, uint64_t seconds)
{
    struct scribe_rpc_log_keep ask = {span_of(object_id), files, seconds};
    struct log_keep *k = log_keep_new(data_dir, &ask, on_removed, told);
    int got;
    ck_assert_ptr_nonnull(k);
    while ((got = log_keep_step(k, clock_mono_ns() + NS_PER_MS)) == 1)
        ;
    got = got ? got : (int)log_keep_files(k);
    log_keep_free(k);
    return got;
}

static void rotated(const char *object_id, const char *stamp)
{
    char path[128];
    snprintf(path, sizeof(path), "logs/%s/log-%s.tsv", object_id, stamp);
    data_write_text(path, HEADER LINE LINE);
}

static bool exists(const char *path)
{
    return access(data_path(path), F_OK) == 0;
}

/* Rotated so many seconds ago. */
static void rotated_ago(const char *object_id, time_t seconds)
{
    char stamp[32];
    time_t at = time(NULL) - seconds;
    struct tm tm;
    strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", gmtime_r(&at, &tm));
    rotated(object_id, stamp);
}

START_TEST(the_newest_stay)
{
    rotated("a", "20260101-000000");
    rotated("a", "20260102-000000");
    rotated("a", "20260103-000000");
    data_write_text("logs/a/log.tsv", HEADER LINE);
    data_write_text("logs/a/notes.txt", "mine");
    ck_assert_int_eq(keep("a", 2, UINT64_MAX), 1);
    ck_assert_str_eq(told, "a:1:2 ");
    ck_assert(!exists("logs/a/log-20260101-000000.tsv"));
    ck_assert(exists("logs/a/log-20260102-000000.tsv"));
    ck_assert(exists("logs/a/log-20260103-000000.tsv"));
    ck_assert_int_eq(keep("a", 2, UINT64_MAX), 0);
    ck_assert_int_eq(keep("a", 0, UINT64_MAX), 2);
    ck_assert(exists("logs/a/log.tsv"));
    ck_assert(exists("logs/a/notes.txt"));
}
END_TEST

START_TEST(the_old_go_whatever_the_file_time)
{
    rotated_ago("a", 50);
    rotated_ago("a", 5000);
    data_write_text("logs/a/log-x.tsv", HEADER LINE); /* no time in its name */
    ck_assert_int_eq(keep("a", 10, 1000), 1);
    ck_assert_str_eq(told, "a:1:2 ");
    ck_assert(exists("logs/a/log-x.tsv"));
}
END_TEST

START_TEST(all_objects)
{
    char id[32];
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "o%d", i);
        rotated(id, "20200101-000000");
    }
    rotated_ago("fresh", 5);
    data_write_text("logs/stray", "no folder");
    ck_assert_int_eq(keep("", 10, 1000), 50);
    ck_assert(exists("logs/o7"));
    ck_assert(!exists("logs/o7/log-20200101-000000.tsv"));
}
END_TEST

START_TEST(nothing_there)
{
    ck_assert_int_eq(keep("", 10, 1000), 0);
    ck_assert_int_eq(keep("a", 10, 1000), 0);
    ck_assert_int_eq(keep("../x", 10, 1000), -EINVAL);
    ck_assert_int_eq(keep(".", 10, 1000), -EINVAL);
}
END_TEST

START_TEST(folders_are_not_left)
{
    data_write_text("outside/log-20200101-000000.tsv", HEADER);
    data_write_text("logs/b/log.tsv", HEADER);
    ck_assert_int_eq(symlink("../outside", data_path("logs/link")), 0);
    ck_assert_int_eq(keep("", 0, 0), 0);
    ck_assert_int_eq(keep("link", 0, 0), 0);
    ck_assert(exists("outside/log-20200101-000000.tsv"));
}
END_TEST

START_TEST(times_in_names)
{
    ck_assert_int_eq(log_files_rotated_at("log-20231114-221320.tsv"), 1700000000);
    ck_assert_int_eq(log_files_rotated_at("log-2023111-221320.tsv"), -1);
    ck_assert_int_eq(log_files_rotated_at("log-20231114-221320.tsv.gz"), -1);
    ck_assert_int_eq(log_files_rotated_at("log-.tsv"), -1);
}
END_TEST

/* --- counting --- */

static uint64_t count(const struct scribe_rpc_position *upto)
{
    struct scribe_rpc_log_count ask = {span_of("a"),
                                       upto ? *upto : (struct scribe_rpc_position){0}};
    struct log_count *c = log_count_new(data_dir, &ask);
    int got;
    ck_assert_ptr_nonnull(c);
    while ((got = log_count_step(c, clock_mono_ns() + NS_PER_MS)) == 1)
        ;
    ck_assert_int_eq(got, 0);
    uint64_t lines = log_count_lines(c);
    log_count_free(c);
    return lines;
}

START_TEST(lines_of_all_files_without_headers)
{
    struct stat st;
    ck_assert_uint_eq(count(NULL), 0);
    data_write_text("logs/a/log.tsv", "");
    ck_assert_uint_eq(count(NULL), 0);
    data_write_text("logs/a/log.tsv", HEADER);
    ck_assert_uint_eq(count(NULL), 0);
    data_write_text("logs/a/log.tsv", HEADER LINE LINE LINE "1700000000\tINFO\tcut");
    ck_assert_uint_eq(count(NULL), 4);
    rotated("a", "20260101-000000");
    data_write_text("logs/a/log-20260102-000000.tsv", LINE "\n"); /* no header */
    ck_assert_uint_eq(count(NULL), 8);
    data_write_text("logs/a/log-20260103-000000.tsv", "timestamp\tmessage\tuser\n1\tx\tme\n");
    ck_assert_uint_eq(count(NULL), 9);
    ck_assert_int_eq(stat(data_path("logs/a/log.tsv"), &st), 0);
    struct scribe_rpc_position upto = {true, st.st_ino, sizeof(HEADER LINE) - 1};
    ck_assert_uint_eq(count(&upto), 6);
    upto.inode = 0;
    ck_assert_uint_eq(count(&upto), 5);
}
END_TEST

START_TEST(many_lines_in_slices)
{
    enum { LINES = 200000 };
    struct buf text = BUF_INIT;
    buf_puts(&text, HEADER);
    for (int i = 0; i < LINES; i++)
        buf_puts(&text, LINE);
    data_write("logs/a/log.tsv", text.data, text.len);
    buf_free(&text);
    ck_assert_uint_eq(count(NULL), LINES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_keep");
    TCase *tcase = tcase_create("log_keep");
    log_setup("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR + 1);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, the_newest_stay);
    tcase_add_test(tcase, the_old_go_whatever_the_file_time);
    tcase_add_test(tcase, all_objects);
    tcase_add_test(tcase, nothing_there);
    tcase_add_test(tcase, folders_are_not_left);
    tcase_add_test(tcase, times_in_names);
    tcase_add_test(tcase, lines_of_all_files_without_headers);
    tcase_add_test(tcase, many_lines_in_slices);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
