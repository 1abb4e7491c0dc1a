// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/scribe/log_query.c supervisor/scribe/tail_reader.c supervisor/scribe/document.c
 * supervisor/scribe/scribe_rpc.c supervisor/log/log_line.c common/json_scan.c common/json_text.c
 * common/time_text.c common/state_file.c common/tsv.c common/buf.c common/codec.c common/utf8.c
 * common/log.c common/clock.c common/memfd.c common/rpc.c common/file_store.c -ljansson */
/* Searching logs: newest lines, filters, rotated files, files of the earlier system, damage. */
#include "common/log.h"
#include "common/memfd.h"
#include "supervisor/scribe/log_query.h"
#include "supervisor/scribe/tail_reader.h"
#include "tests/unit/data_folder.h"

#include <errno.h>
#include <jansson.h>

#define HEADER "timestamp\tlevel\tmessage\trequest_id\tversion\tfields\n"

static struct scribe_rpc_search query;
static struct buf filters;
static json_t *answer;

static void set_up(void)
{
    data_folder_make();
    query = (struct scribe_rpc_search){.object_id = span_of("a"), .limit = 100};
}

static void tear_down(void)
{
    json_decref(answer);
    buf_free(&filters);
    data_folder_remove();
}

static void filter(const char *name, const char *value)
{
    rpc_field_encode(&filters, &(struct rpc_field){span_of(name), span_of(value)});
    query.filter_count++;
    query.filters = (struct span){filters.data, filters.len};
}

/* The messages found, "a,b,c". */
static const char *search(void)
{
    static char found[4096];
    uint64_t size = 0;
    int fd = log_query(data_dir, &query, &size);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(memfd_verify(fd, size), 0);
    char *text = malloc(size);
    ck_assert_int_eq(memfd_read(fd, text, size), 0);
    close(fd);
    json_decref(answer);
    json_error_t error;
    answer = json_loadb(text, size, 0, &error);
    ck_assert_msg(answer != NULL, "%s in %.*s", error.text, (int)size, text);
    free(text);
    json_t *logs = json_object_get(answer, "logs"), *line;
    size_t i;
    ck_assert_uint_eq(json_array_size(logs),
                      (size_t)json_integer_value(json_object_get(answer, "count")));
    found[0] = '\0';
    json_array_foreach(logs, i, line)
    {
        if (i > 0)
            strcat(found, ",");
        strcat(found, json_string_value(json_object_get(line, "message")));
    }
    return found;
}

static const json_t *member(size_t i, const char *name)
{
    return json_object_get(json_array_get(json_object_get(answer, "logs"), i), name);
}

static void write_log(void)
{
    data_write_text("logs/a/log.tsv", HEADER
                    "2023-11-14T22:13:20.000000Z\tINFO\tone\tr-1\t3\t{\"status\":200,\"n\":1.5}\n"
                    "2023-11-14T22:13:21.000000Z\tERROR\ttwo\tr-2\t3\t\n"
                    "2023-11-14T22:13:22.000000Z\tSTDOUT\tthree\t\t\t\n"
                    "2023-11-14T22:13:23.000000Z\tWARNING\tfour\\tx\\\\\tr-1\t4\t"
                    "{\"who\":\"Ada \\\\u00e9\",\"level\":\"hidden\",\"ok\":true}\n");
}

START_TEST(all_newest_last)
{
    write_log();
    ck_assert_str_eq(search(), "one,two,three,four\tx\\");
    ck_assert_str_eq(json_string_value(json_object_get(answer, "status")), "ok");
    ck_assert_str_eq(json_string_value(json_object_get(answer, "object_id")), "a");
    ck_assert_str_eq(json_string_value(member(0, "timestamp")), "2023-11-14T22:13:20.000000Z");
    ck_assert_str_eq(json_string_value(member(0, "request_id")), "r-1");
    ck_assert_int_eq(json_integer_value(member(0, "version")), 3);
    ck_assert_int_eq(json_integer_value(member(0, "status")), 200);
    ck_assert(json_real_value(member(0, "n")) == 1.5);
    ck_assert_ptr_null(member(1, "fields"));
    ck_assert_ptr_null(member(2, "request_id"));
    ck_assert_str_eq(json_string_value(member(3, "level")), "WARNING"); /* not of the fields */
    ck_assert_str_eq(json_string_value(member(3, "who")), "Ada \xc3\xa9");
}
END_TEST

START_TEST(limit_and_offset)
{
    write_log();
    query.limit = 2;
    ck_assert_str_eq(search(), "three,four\tx\\");
    query.offset = 1;
    ck_assert_str_eq(search(), "two,three");
    query.offset = 3;
    ck_assert_str_eq(search(), "one");
    query.offset = 4;
    ck_assert_str_eq(search(), "");
    query.offset = 0;
    query.limit = 0;
    ck_assert_str_eq(search(), "");
}
END_TEST

START_TEST(levels)
{
    write_log();
    query.levels = span_of("ERROR,warning");
    ck_assert_str_eq(search(), "two,four\tx\\");
    query.levels = span_of("ERR");
    ck_assert_str_eq(search(), "");
    query.levels = span_of("STDOUT");
    ck_assert_str_eq(search(), "three");
}
END_TEST

START_TEST(since_is_inclusive_until_is_not)
{
    write_log();
    query.since_us = 1700000001000000ull;
    query.until_us = 1700000003000000ull;
    ck_assert_str_eq(search(), "two,three");
    query.until_us = 0;
    query.limit = 1;
    ck_assert_str_eq(search(), "four\tx\\");
    query.since_us = 1800000000000000ull;
    ck_assert_str_eq(search(), "");
}
END_TEST

static const struct {
    const char *name, *value, *found;
} filtered[] = {
    {"request_id", "r-1", "one,four\tx\\"},
    {"version", "3", "one,two"},
    {"status", "200", "one"},
    {"status", "20", ""},
    {"n", "1.5", "one"},
    {"who", "Ada \xc3\xa9", "four\tx\\"},
    {"ok", "true", "four\tx\\"},
    {"level", "ERROR", "two"},
    {"message", "four\tx\\", "four\tx\\"},
    {"nobody", "x", ""},
};

START_TEST(field_filters)
{
    write_log();
    filter(filtered[_i].name, filtered[_i].value);
    ck_assert_str_eq(search(), filtered[_i].found);
}
END_TEST

START_TEST(filters_add_up)
{
    write_log();
    filter("request_id", "r-1");
    filter("version", "4");
    ck_assert_str_eq(search(), "four\tx\\");
}
END_TEST

START_TEST(rotated_files_newest_first)
{
    write_log();
    data_write_text("logs/a/log-20231101-000000.tsv", HEADER "1698796800\tINFO\toldest\t\t\t\n");
    data_write_text("logs/a/log-20231102-000000.tsv", HEADER "1698883200\tINFO\tolder\t\t\t\n");
    data_write_text("logs/a/other.tsv", HEADER "1698883200\tINFO\tno log\t\t\t\n");
    ck_assert_str_eq(search(), "oldest,older,one,two,three,four\tx\\");
    query.limit = 5;
    ck_assert_str_eq(search(), "older,one,two,three,four\tx\\");
    query.since_us = 1698883200000000ull;
    query.limit = 100;
    ck_assert_str_eq(search(), "older,one,two,three,four\tx\\");
}
END_TEST

START_TEST(file_of_the_earlier_system)
{
    data_write_text("logs/a/log.tsv", "timestamp\tlevel\tmessage\tuser\tamount\n"
                                      "1700000000.25\tINFO\tpaid\tada\t12\n"
                                      "1700000001\tERROR\tnot\\npaid\tbob\t\n"
                                      "1700000002\tINFO\tshort\n");
    ck_assert_str_eq(search(), "paid,not\npaid,short");
    ck_assert_str_eq(json_string_value(member(0, "user")), "ada");
    ck_assert_str_eq(json_string_value(member(0, "amount")), "12");
    ck_assert_ptr_null(member(1, "amount"));
    filter("user", "bob");
    ck_assert_str_eq(search(), "not\npaid");
}
END_TEST

START_TEST(no_header_means_our_columns)
{
    data_write_text("logs/a/log.tsv", "1700000000\tINFO\tfirst\t\t\t\n1700000001\tINFO\tb\t\t\t\n");
    ck_assert_str_eq(search(), "first,b");
}
END_TEST

START_TEST(nothing_there)
{
    ck_assert_str_eq(search(), "");
    data_write_text("logs/a/log.tsv", "");
    ck_assert_str_eq(search(), "");
    data_write_text("logs/a/log.tsv", HEADER);
    ck_assert_str_eq(search(), "");
}
END_TEST

START_TEST(damage_is_survived)
{
    static const char text[] = HEADER "1700000000\tINFO\tgood\t\t\t\n"
                                      "garbage\n\n\0\0\0\0\n"
                                      "1700000001\tINFO\tbad \xff utf8\t\t\t{\"a\":\"\xff\"}\n"
                                      "1700000002\tINFO\tbad fields\t\t\t{\"a\":\n"
                                      "1700000003\tINFO\tlist\t\t\t[1]\n"
                                      "1700000004\tINFO\tcut off";
    data_write("logs/a/log.tsv", text, sizeof(text) - 1);
    const char *found = search();
    ck_assert_ptr_nonnull(strstr(found, "good,bad \xef\xbf\xbd utf8,bad fields,list"));
    ck_assert_str_eq(json_string_value(member(2, "fields")), "{\"a\":");
    ck_assert_str_eq(json_string_value(member(3, "fields")), "[1]");
}
END_TEST

START_TEST(ids_stay_inside_the_folder)
{
    uint64_t size;
    query.object_id = span_of("../a");
    ck_assert_int_eq(log_query(data_dir, &query, &size), -EINVAL);
    query.object_id = span_of("..");
    ck_assert_int_eq(log_query(data_dir, &query, &size), -EINVAL);
}
END_TEST

/* Every way in which lines can lie across blocks. */
START_TEST(tail_reader_gives_every_line_backwards)
{
    enum { LINES = 5000 };
    struct buf text = BUF_INIT;
    for (int i = 0; i < LINES; i++) {
        size_t len = i == 2500 ? 700000 : (size_t)(i * 37 % 400);
        buf_printf(&text, "%d:", i);
        for (size_t n = 0; n < len; n++)
            buf_putc(&text, 'x');
        if (i + 1 < LINES || _i == 0)
            buf_putc(&text, '\n');
    }
    data_write("lines", text.data, text.len);
    buf_free(&text);
    int fd = data_open("lines");
    struct tail_reader tail;
    char *line;
    size_t len;
    ck_assert_int_eq(tail_reader_open(&tail, fd, 0), 0);
    for (int i = LINES - 1; i >= 0; i--) {
        ck_assert_int_eq(tail_reader_next(&tail, &line, &len), 1);
        char *end;
        ck_assert_int_eq(strtol(line, &end, 10), i);
        size_t want = i == 2500 ? 700000 : (size_t)(i * 37 % 400);
        ck_assert_uint_eq(len, (size_t)(end + 1 - line) + want);
    }
    ck_assert_int_eq(tail_reader_next(&tail, &line, &len), 0);
    tail_reader_close(&tail);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_query");
    TCase *tcase = tcase_create("log_query");
    log_setup("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR + 1);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, all_newest_last);
    tcase_add_test(tcase, limit_and_offset);
    tcase_add_test(tcase, levels);
    tcase_add_test(tcase, since_is_inclusive_until_is_not);
    tcase_add_loop_test(tcase, field_filters, 0, sizeof(filtered) / sizeof(filtered[0]));
    tcase_add_test(tcase, filters_add_up);
    tcase_add_test(tcase, rotated_files_newest_first);
    tcase_add_test(tcase, file_of_the_earlier_system);
    tcase_add_test(tcase, no_header_means_our_columns);
    tcase_add_test(tcase, nothing_there);
    tcase_add_test(tcase, damage_is_survived);
    tcase_add_test(tcase, ids_stay_inside_the_folder);
    tcase_add_loop_test(tcase, tail_reader_gives_every_line_backwards, 0, 2);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
