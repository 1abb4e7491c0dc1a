// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/log/object_log.c supervisor/log/object_log_output.c
 * supervisor/log/object_log_tally.c supervisor/log/log_file.c supervisor/log/log_line.c
 * supervisor/loop.c common/json_scan.c common/json_text.c common/state_file.c common/tsv.c
 * common/buf.c common/codec.c common/utf8.c common/log.c common/clock.c -ljansson */
/* The logs of objects: what a line looks like, rates, captured output, rotation, a full disk. */
#include "common/clock.h"
#include "common/log.h"
#include "supervisor/log/log_line.h"
#include "supervisor/log/object_log.h"
#include "tests/unit/data_folder.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

static struct loop *loop;
static struct object_logs *logs;
static struct object_log *log_a;
static struct config config;

static void set_up(void)
{
    data_folder_make();
    config = (struct config){.data_dir = data_dir,
                             .station_id = "here",
                             .turn_lines_per_s = 3,
                             .object_lines_per_s = 50,
                             .log_line_max = 64 * 1024,
                             .log_file_max = 10000000,
                             .log_files_max = 10,
                             .log_keep_ns = 1000 * NS_PER_S};
    loop = loop_new();
    logs = object_logs_new(loop, &config);
    log_a = object_logs_get(logs, "a");
    ck_assert_ptr_nonnull(log_a);
}

static void tear_down(void)
{
    object_logs_free(logs);
    loop_free(loop);
    data_folder_remove();
}

static void write_line(struct object_log *log, const char *message)
{
    object_log_write(log, span_of("INFO"), 1700000000123456ull, span_of(message), span_of("r"), 2,
                     span_of("{\"a\":1}"));
}

static void turn(unsigned status)
{
    object_log_turn(log_a, &(struct object_log_turn){.wall_us = 1700000000000000ull,
                                                     .method = span_of("GET"),
                                                     .target = span_of("/objects/a"),
                                                     .status = status,
                                                     .duration_us = 1234,
                                                     .request_id = span_of("q"),
                                                     .version = 1});
}

/* The lines of the log without the header, timestamps cut off, newlines as '|'. */
static const char *content_of(const char *object_id)
{
    static char out[1 << 20];
    char path[128], *at = out;
    snprintf(path, sizeof(path), "logs/%s/log.tsv", object_id);
    object_logs_flush(logs);
    char *text = data_read(path);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(strncmp(text, LOG_LINE_HEADER "\n", strlen(LOG_LINE_HEADER "\n")), 0);
    char *line = strchr(text, '\n') + 1;
    for (char *end; (end = strchr(line, '\n')); line = end + 1) {
        char *level = strchr(line, '\t');
        ck_assert_msg(level && level < end, "%s", line);
        at += sprintf(at, "%.*s|", (int)(end - level - 1), level + 1);
    }
    ck_assert_str_eq(line, "");
    *at = '\0';
    free(text);
    return out;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void run_for(uint64_t ns)
{
    struct loop_timer timer = {0};
    loop_timer_set(loop, &timer, ns, stop, loop);
    loop_run(loop);
}

START_TEST(lines_of_both_kinds)
{
    write_line(log_a, "hello\tworld\n");
    turn(200);
    object_log_write(log_a, span_of("ERROR"), 0, span_of(""), (struct span){NULL, 0}, 0,
                     (struct span){NULL, 0});
    ck_assert_str_eq(content_of("a"), "INFO\thello\\tworld\\n\tr\t2\t{\"a\":1}|"
                                      "INFO\tGET /objects/a 200\tq\t1\t"
                                      "{\"status\":200,\"duration_ms\":1.234}|"
                                      "ERROR\t\t\t\t|");
    char *text = data_read("logs/a/log.tsv");
    ck_assert_ptr_nonnull(strstr(text, "\n2023-11-14T22:13:20.123456Z\tINFO"));
    free(text);
    struct stat st;
    ck_assert_int_eq(stat(data_path("logs/a/log.tsv"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(stat(data_path("logs"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
}
END_TEST

START_TEST(reaches_the_file_by_itself)
{
    write_line(log_a, "x");
    ck_assert_int_lt(access(data_path("logs/a/log.tsv"), F_OK), 0);
    run_for(400000000);
    char *text = data_read("logs/a/log.tsv");
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(strstr(text, "\tINFO\tx\t"));
    free(text);
}
END_TEST

START_TEST(sixty_four_kilobytes_reach_the_file_at_once)
{
    char *big = malloc(70001);
    memset(big, 'y', 70000);
    big[70000] = '\0';
    write_line(log_a, big);
    ck_assert_int_eq(access(data_path("logs/a/log.tsv"), F_OK), 0);
    free(big);
}
END_TEST

START_TEST(turns_beyond_the_rate_are_counted)
{
    ck_assert(object_log_turn_due(log_a));
    for (int i = 0; i < 10; i++)
        turn(200);
    ck_assert(!object_log_turn_due(log_a)); /* counts */
    const char *text = content_of("a");
    ck_assert_ptr_null(strstr(text, "further"));
    run_for(1300000000); /* nothing more comes: the summary does all the same */
    text = content_of("a");
    ck_assert_ptr_nonnull(strstr(text, "|INFO\t8 further turns in one second\t\t\t{\"turns\":8}|"));
    ck_assert(object_log_turn_due(log_a));
}
END_TEST

START_TEST(lines_beyond_the_rate_are_dropped_and_counted)
{
    for (int i = 0; i < 70; i++)
        write_line(log_a, "x");
    ck_assert_uint_eq(object_logs_stats(logs)->dropped, 20);
    run_for(1300000000);
    ck_assert_ptr_nonnull(
        strstr(content_of("a"), "|WARNING\t20 lines were dropped: too many in one second\t"));
}
END_TEST

START_TEST(counts_are_said_at_the_end)
{
    for (int i = 0; i < 5; i++)
        turn(200);
    object_logs_free(logs);
    char *text = data_read("logs/a/log.tsv");
    ck_assert_ptr_nonnull(strstr(text, "\t2 further turns in one second\t"));
    free(text);
    logs = NULL;
}
END_TEST

static void output(const char *text)
{
    object_log_output(log_a, OBJECT_LOG_STDOUT, text, strlen(text));
}

START_TEST(output_becomes_lines)
{
    output("one\ntw");
    output("o\r\n\nthr");
    object_log_output(log_a, OBJECT_LOG_STDERR, "oops\n", 5);
    ck_assert_str_eq(content_of("a"), "STDOUT\tone\t\t\t|STDOUT\ttwo\t\t\t|STDOUT\t\t\t\t|"
                                      "STDERR\toops\t\t\t|");
    output("ee");
    object_log_output_end(log_a, OBJECT_LOG_STDOUT);
    object_log_output_end(log_a, OBJECT_LOG_STDOUT);
    ck_assert_ptr_nonnull(strstr(content_of("a"), "|STDOUT\tthree\t\t\t|"));
}
END_TEST

START_TEST(output_without_end_is_cut)
{
    enum { LEN = 200000 };
    char *big = malloc(LEN);
    memset(big, 'z', LEN);
    object_log_output(log_a, OBJECT_LOG_STDOUT, big, LEN);
    object_log_output(log_a, OBJECT_LOG_STDOUT, "\n", 1);
    object_log_output(log_a, OBJECT_LOG_STDOUT, "short\n", 6);
    big[LEN - 1] = '\n'; /* all at once */
    object_log_output(log_a, OBJECT_LOG_STDERR, big, LEN);
    const char *text = content_of("a");
    size_t lines = 0, bytes = 0;
    for (const char *c = text; *c; c++) {
        lines += *c == '|';
        bytes += *c == 'z';
    }
    ck_assert_uint_eq(lines, 3);
    ck_assert_uint_eq(bytes, 2 * 65536);
    ck_assert_ptr_nonnull(
        strstr(text, "z\xe2\x80\xa6 [cut: 134464 bytes more than log.line_max]\t"));
    ck_assert_ptr_nonnull(
        strstr(text, "z\xe2\x80\xa6 [cut: 134463 bytes more than log.line_max]\t"));
    ck_assert_ptr_nonnull(strstr(text, "|STDOUT\tshort\t"));
    free(big);
}
END_TEST

START_TEST(other_than_utf8_is_replaced)
{
    object_log_output(log_a, OBJECT_LOG_STDOUT, "a\xff\xc3\xa9\0z\n", 7);
    ck_assert_str_eq(content_of("a"), "STDOUT\ta\xef\xbf\xbd\xc3\xa9\\0z\t\t\t|");
}
END_TEST

START_TEST(too_much_is_cut_between_characters)
{
    enum { LEN = 300000 };
    char *big = malloc(LEN + 1);
    for (int i = 0; i < LEN; i += 3)
        memcpy(big + i, "\xe2\x82\xac", 3);
    object_log_write(log_a, span_of("INFO"), 0, (struct span){big, LEN}, span_of(""), 0,
                     (struct span){big, LEN});
    const char *text = content_of("a");
    ck_assert_ptr_null(strstr(text, "\xef\xbf\xbd"));
    ck_assert_ptr_nonnull(
        strstr(text, "\t{\"fields_dropped_bytes\":300000,\"limit\":\"log.line_max\"}|"));
    ck_assert_ptr_nonnull(
        strstr(text, "\xac\xe2\x80\xa6 [cut: 234465 bytes more than log.line_max]"));
    ck_assert_uint_lt(strlen(text), 66000);
    free(big);
}
END_TEST

START_TEST(fields_are_an_object_or_left_out)
{
    static const char *const others[] = {"{\"a\":", "[1]", "{}{", "\tx"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        char wanted[64];
        object_log_write(log_a, span_of("INFO"), 0, span_of("m"), span_of(""), 0,
                         span_of(others[i]));
        snprintf(wanted, sizeof(wanted), "\tm\t\t\t{\"fields_dropped_bytes\":%zu}|",
                 strlen(others[i]));
        ck_assert_ptr_nonnull(strstr(content_of("a"), wanted));
    }
}
END_TEST

START_TEST(many_objects_few_files)
{
    struct rlimit few = {90, 90}; /* fewer than objects */
    char id[32];
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++) {
            snprintf(id, sizeof(id), "o%d", (i * 7 + round) % 200);
            write_line(object_logs_get(logs, id), id);
        }
        object_logs_flush(logs);
    }
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof(id), "o%d", i);
        const char *text = content_of(id);
        size_t lines = 0;
        for (const char *c = text; *c; c++)
            lines += *c == '|';
        ck_assert_uint_eq(lines, 3);
    }
    ck_assert_uint_eq(object_logs_stats(logs)->lost, 0);
}
END_TEST

START_TEST(same_object_same_log)
{
    ck_assert_ptr_eq(object_logs_get(logs, "a"), log_a);
    ck_assert_ptr_ne(object_logs_get(logs, "b"), log_a);
}
END_TEST

static int count_rotated(void)
{
    int count = 0;
    const struct dirent *entry;
    DIR *dir = opendir(data_path("logs/a"));
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)))
        count += strncmp(entry->d_name, "log-", 4) == 0;
    closedir(dir);
    return count;
}

START_TEST(rotates_at_its_size)
{
    char *big = malloc(50001);
    memset(big, 'x', 50000);
    big[50000] = '\0';
    config.object_lines_per_s = 1000000;
    config.log_file_max = 1000000;
    object_logs_free(logs);
    logs = object_logs_new(loop, &config);
    log_a = object_logs_get(logs, "a");
    ck_assert_ptr_nonnull(log_a);
    for (int file = 1; file <= 12; file++) {
        for (int i = 0; i < 20; i++)
            write_line(log_a, big);
        ck_assert_int_eq(count_rotated(), file); /* what is too many is the scribe's */
    }
    write_line(log_a, "after");
    ck_assert_str_eq(content_of("a"), "INFO\tafter\tr\t2\t{\"a\":1}|");
    free(big);
}
END_TEST

/* The name of the newest rotated file; with `others`, those are removed. */
static void newest_rotated(char name[256], bool remove_others)
{
    char path[300];
    const struct dirent *entry;
    DIR *dir = opendir(data_path("logs/a"));
    ck_assert_ptr_nonnull(dir);
    strcpy(name, "");
    while ((entry = readdir(dir)))
        if (strncmp(entry->d_name, "log-", 4) == 0 && strcmp(entry->d_name, name) > 0)
            snprintf(name, 256, "%s", entry->d_name);
    rewinddir(dir);
    while (remove_others && (entry = readdir(dir))) {
        snprintf(path, sizeof(path), "logs/a/%s", entry->d_name);
        if (strncmp(entry->d_name, "log-", 4) == 0 && strcmp(entry->d_name, name) != 0)
            ck_assert_int_eq(unlink(data_path(path)), 0);
    }
    closedir(dir);
}

/* Many in a second take names of later ones; those stay in order though older ones go. */
START_TEST(names_of_rotated_files_are_in_order)
{
    char before[256] = "", now[256];
    config.log_file_max = 10;
    for (int i = 0; i < 30; i++) {
        if (i % 7 == 0) { /* a new start does not know what the last one did */
            object_logs_free(logs);
            logs = object_logs_new(loop, &config);
            log_a = object_logs_get(logs, "a");
        }
        write_line(log_a, "x");
        object_logs_flush(logs);
        newest_rotated(now, true);
        ck_assert_msg(strcmp(before, now) < 0, "%s then %s", before, now);
        strcpy(before, now);
        if (i % 10 == 5)
            run_for(1100000000);
    }
}
END_TEST

START_TEST(file_of_the_earlier_system_is_set_aside)
{
    data_write_text("logs/a/log.tsv", "timestamp\tlevel\tmessage\tuser\n1\tINFO\told\tada\n");
    write_line(log_a, "new");
    ck_assert_str_eq(content_of("a"), "INFO\tnew\tr\t2\t{\"a\":1}|");
    ck_assert_int_eq(count_rotated(), 1);
}
END_TEST

START_TEST(line_cut_off_by_a_crash_is_taken_away)
{
    data_write_text("logs/a/log.tsv", LOG_LINE_HEADER "\n1\tINFO\twhole\t\t\t\n2\tINFO\tha");
    write_line(log_a, "new");
    ck_assert_str_eq(content_of("a"), "INFO\twhole\t\t\t|INFO\tnew\tr\t2\t{\"a\":1}|");
}
END_TEST

START_TEST(removed_file_is_made_again)
{
    write_line(log_a, "one");
    object_logs_flush(logs);
    ck_assert_int_eq(unlink(data_path("logs/a/log.tsv")), 0);
    write_line(log_a, "two");
    ck_assert_str_eq(content_of("a"), "INFO\ttwo\tr\t2\t{\"a\":1}|");
}
END_TEST

START_TEST(reopen_follows_the_name)
{
    write_line(log_a, "one");
    object_logs_flush(logs);
    ck_assert_int_eq(rename(data_path("logs/a/log.tsv"), data_path("logs/a/moved")), 0);
    object_logs_reopen(logs);
    write_line(log_a, "two");
    ck_assert_str_eq(content_of("a"), "INFO\ttwo\tr\t2\t{\"a\":1}|");
}
END_TEST

START_TEST(lines_without_room_are_lost_and_counted)
{
    data_write_text("logs", "a file where the folder should be");
    for (int i = 0; i < 7; i++)
        write_line(log_a, "lost");
    object_logs_flush(logs);
    ck_assert_uint_eq(object_logs_stats(logs)->lost, 7);
    ck_assert_int_eq(unlink(data_path("logs")), 0);
    write_line(log_a, "kept");
    object_logs_flush(logs);
    ck_assert_str_eq(content_of("a"), "INFO\tkept\tr\t2\t{\"a\":1}|"
                                      "WARNING\t7 lines of this log were lost\t\t\t{\"lost\":7}|");
}
END_TEST

START_TEST(short_write_leaves_whole_lines)
{
    struct rlimit small = {2000, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    char text[301];
    memset(text, 's', 300);
    text[300] = '\0';
    for (int i = 0; i < 10; i++)
        write_line(log_a, text);
    object_logs_flush(logs);
    ck_assert_uint_eq(object_logs_stats(logs)->lost, 5);
    small.rlim_cur = RLIM_INFINITY;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    write_line(log_a, "room");
    object_logs_flush(logs);
    const char *found = content_of("a");
    ck_assert_ptr_nonnull(strstr(found, "|INFO\troom\t"));
    ck_assert_ptr_nonnull(strstr(found, "|WARNING\t5 lines of this log were lost\t"));
}
END_TEST

START_TEST(symlink_is_not_followed)
{
    data_write_text("victim", "untouched");
    data_write_text("logs/a/x", "");
    ck_assert_int_eq(symlink(data_path("victim"), data_path("logs/a/log.tsv")), 0);
    write_line(log_a, "x");
    object_logs_flush(logs);
    data_expect("victim", "untouched");
    ck_assert_uint_eq(object_logs_stats(logs)->lost, 1);
}
END_TEST

/* --- who watches --- */

static char watched[4096];

static void watch_line(void *arg, struct span line)
{
    (void)arg;
    const char *level = memchr(line.data, '\t', line.len);
    ck_assert_ptr_nonnull(level);
    snprintf(watched + strlen(watched), sizeof(watched) - strlen(watched), "%.*s|",
             (int)(line.data + line.len - level - 1), level + 1);
}

static struct object_log_watcher watcher;

static void watch_end(void *arg, const char *reason)
{
    (void)arg;
    snprintf(watched + strlen(watched), sizeof(watched) - strlen(watched), "<%s>", reason);
    object_log_unwatch(log_a, &watcher);
}

START_TEST(watchers_see_what_comes_behind_the_position)
{
    struct log_position at;
    struct stat st;
    watched[0] = '\0';
    watcher = (struct object_log_watcher){.line = watch_line, .end = watch_end};
    write_line(log_a, "before");
    ck_assert_int_eq(object_log_position(log_a, &at), 0);
    object_log_watch(log_a, &watcher);
    ck_assert_int_eq(stat(data_path("logs/a/log.tsv"), &st), 0);
    ck_assert(at.is_set);
    ck_assert_uint_eq(at.inode, st.st_ino);
    ck_assert_uint_eq(at.size, (uint64_t)st.st_size);
    write_line(log_a, "tab\there");
    write_line(object_logs_get(logs, "b"), "another's");
    turn(200);
    ck_assert_str_eq(watched, "INFO\ttab\\there\tr\t2\t{\"a\":1}|"
                              "INFO\tGET /objects/a 200\tq\t1\t"
                              "{\"status\":200,\"duration_ms\":1.234}|");
    ck_assert_uint_eq(object_logs_stats(logs)->watchers, 1);
    watched[0] = '\0';
    object_logs_end_watch(logs, "why");
    write_line(log_a, "after");
    ck_assert_str_eq(watched, "<why>");
    ck_assert_uint_eq(object_logs_stats(logs)->watchers, 0);
}
END_TEST

START_TEST(position_without_a_file)
{
    struct log_position at;
    data_write_text("logs", "a file where the folder should be");
    ck_assert_int_lt(object_log_position(log_a, &at), 0);
    ck_assert(at.is_set);
    ck_assert_uint_eq(at.inode, 0);
}
END_TEST

static void counted(void *arg, int err, uint64_t lines)
{
    (void)lines;
    *(int *)arg = err;
}

START_TEST(nobody_counts_without_a_scribe)
{
    int err = 0;
    ck_assert_int_eq(object_log_count(log_a, counted, &err), 0);
    ck_assert_int_lt(err, 0);
}
END_TEST

START_TEST(statistics)
{
    for (int i = 0; i < 5; i++)
        turn(200);
    object_logs_flush(logs);
    ck_assert_uint_eq(object_logs_stats(logs)->turns_summarised, 2);
    ck_assert_uint_eq(object_logs_stats(logs)->lines, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("object_log");
    TCase *tcase = tcase_create("object_log");
    log_setup("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR + 1);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, lines_of_both_kinds);
    tcase_add_test(tcase, reaches_the_file_by_itself);
    tcase_add_test(tcase, sixty_four_kilobytes_reach_the_file_at_once);
    tcase_add_test(tcase, turns_beyond_the_rate_are_counted);
    tcase_add_test(tcase, lines_beyond_the_rate_are_dropped_and_counted);
    tcase_add_test(tcase, counts_are_said_at_the_end);
    tcase_add_test(tcase, output_becomes_lines);
    tcase_add_test(tcase, output_without_end_is_cut);
    tcase_add_test(tcase, other_than_utf8_is_replaced);
    tcase_add_test(tcase, too_much_is_cut_between_characters);
    tcase_add_test(tcase, fields_are_an_object_or_left_out);
    tcase_add_test(tcase, many_objects_few_files);
    tcase_add_test(tcase, same_object_same_log);
    tcase_add_test(tcase, rotates_at_its_size);
    tcase_add_test(tcase, names_of_rotated_files_are_in_order);
    tcase_add_test(tcase, file_of_the_earlier_system_is_set_aside);
    tcase_add_test(tcase, line_cut_off_by_a_crash_is_taken_away);
    tcase_add_test(tcase, removed_file_is_made_again);
    tcase_add_test(tcase, reopen_follows_the_name);
    tcase_add_test(tcase, lines_without_room_are_lost_and_counted);
    tcase_add_test(tcase, short_write_leaves_whole_lines);
    tcase_add_test(tcase, symlink_is_not_followed);
    tcase_add_test(tcase, watchers_see_what_comes_behind_the_position);
    tcase_add_test(tcase, position_without_a_file);
    tcase_add_test(tcase, nobody_counts_without_a_scribe);
    tcase_add_test(tcase, statistics);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
