// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/scribe/log_query.c supervisor/scribe/tail_reader.c supervisor/scribe/document.c
 * supervisor/scribe/scribe_rpc.c supervisor/log/log_line.c supervisor/log/log_filter.c
 * supervisor/log/log_level.c supervisor/log/log_files.c supervisor/log/log_event.c
 * common/json_scan.c common/json_text.c common/time_text.c common/state_file.c common/tsv.c
 * common/buf.c common/codec.c common/utf8.c common/log.c common/clock.c common/memfd.c common/rpc.c
 * common/file_store.c -ljansson */
/* Searching logs: newest lines, filters, rotated files, files of the earlier system, damage. */
#include "common/clock.h"
#include "common/log.h"
#include "common/memfd.h"
#include "common/time_text.h"
#include "supervisor/log/log_level.h"
#include "supervisor/scribe/log_query.h"
#include "supervisor/scribe/tail_reader.h"
#include "tests/unit/data_folder.h"

#include <errno.h>
#include <jansson.h>

#define HEADER "timestamp\tlevel\tmessage\trequest_id\tversion\tfields\n"

static struct scribe_rpc_search query;
static struct buf filters;
static json_t *answer;
static unsigned slices; /* that the last search took */

static void set_up(void)
{
    data_folder_make();
    query = (struct scribe_rpc_search){
        .object_id = span_of("a"), .limit = 100, .read_max = UINT64_MAX, .answer_max = UINT64_MAX};
    slices = 0;
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

/* The answer as it is, free(). Slices of no time at all: as many as there can be. */
static char *search_text(void)
{
    uint64_t size = 0;
    int got;
    struct log_query *q = log_query_new(data_dir, &query);
    ck_assert_ptr_nonnull(q);
    while ((got = log_query_step(q, 0)) == 1)
        slices++;
    ck_assert_int_eq(got, 0);
    int fd = log_query_answer(q, &size);
    log_query_free(q);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(memfd_verify(fd, size), 0);
    char *text = calloc(1, size + 1);
    ck_assert_int_eq(memfd_read(fd, text, size), 0);
    close(fd);
    return text;
}

/* The messages found, "a,b,c". */
static const char *search(void)
{
    static char found[4096];
    char *text = search_text();
    json_decref(answer);
    json_error_t error;
    answer = json_loads(text, 0, &error);
    ck_assert_msg(answer != NULL, "%s in %s", error.text, text);
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
    ck_assert_str_eq(json_string_value(json_object_get(member(3, "fields"), "level")), "hidden");
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
    ck_assert(log_level_set_parse(span_of("ERROR, warning"), &query.levels));
    ck_assert_str_eq(search(), "two,four\tx\\");
    ck_assert(log_level_set_parse(span_of("STDOUT"), &query.levels));
    ck_assert_str_eq(search(), "three");
    ck_assert(log_level_set_parse(span_of("warn"), &query.levels));
    ck_assert_str_eq(search(), "four\tx\\");
    ck_assert(log_level_set_parse(span_of("critical"), &query.levels));
    ck_assert_str_eq(search(), "");
}
END_TEST

START_TEST(unknown_levels_are_refused)
{
    static const char *const bad[] = {"",           "ERR", "ERROR,", ",ERROR", "ERROR,,INFO",
                                      "ERROR;INFO", " "};
    uint32_t set;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!log_level_set_parse(span_of(bad[i]), &set), "%s", bad[i]);
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
    {"n", "1.50", "one"},
    {"n", "15e-1", "one"},
    {"n", "1", ""},
    {"n", "", ""},
    {"request_id", "", "three"},
    {"timestamp", "2023-11-14T22:13:21.000000Z", "two"},
};

static const struct {
    const char *json, *value;
    bool equal;
} values[] = {
    {"[1,\"b\",null]", "[1, \"b\", null]", true},
    {"[1,2]", "[2,1]", false},
    {"{\"a\":1,\"b\":[]}", "{\"b\":[],\"a\":1}", true},
    {"{\"a\":1}", "{\"a\":1", false},
    {"null", "null", true},
    {"null", "None", false},
    {"false", "false", true},
    {"1", "1.0", true},
    {"1.0", "1", true},
    {"-0.5", "-5e-1", true},
    {"9007199254740993", "9007199254740992", false},
    {"9007199254740993", "9007199254740993", true},
    {"1", "nan", false},
    {"1", "0x1", false},
    {"1", "", false},
    {"\"1\"", "1", true},
    {"\"a\\\\nb\"", "a\nb", true},
    {"\"a\\\\u0000b\"", "a", false},
};

START_TEST(fields_of_any_type)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, HEADER "1700000000\tINFO\tit\t\t\t{\"f\":%s}\n", values[_i].json);
    data_write("logs/a/log.tsv", text.data, text.len);
    buf_free(&text);
    filter("f", values[_i].value);
    ck_assert_msg((strcmp(search(), "it") == 0) == values[_i].equal, "%s against %s",
                  values[_i].json, values[_i].value);
}
END_TEST

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
    static const char *const bad[] = {"../a", "..", "a/b", ".hidden"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        query.object_id = span_of(bad[i]);
        struct log_query *q = log_query_new(data_dir, &query);
        ck_assert_int_eq(log_query_step(q, 0), -EINVAL);
        log_query_free(q);
    }
}
END_TEST

START_TEST(other_things_than_files_are_left_out)
{
    write_log();
    data_write_text("logs/a/log-20231101-000000.tsv/inside", "x");
    ck_assert_int_eq(symlink("/etc/passwd", data_path("logs/a/log-20231102-000000.tsv")), 0);
    ck_assert_int_eq(mkfifo(data_path("logs/a/log-20231103-000000.tsv"), 0600), 0);
    ck_assert_str_eq(search(), "one,two,three,four\tx\\");
}
END_TEST

/* 20,000 lines, a second apart, "n" counting from 0. */
enum { MANY = 20000 };

static void write_many(const char *path)
{
    struct buf text = BUF_INIT;
    buf_puts(&text, HEADER);
    for (int i = 0; i < MANY; i++)
        buf_printf(&text, "%d.5\tINFO\tm%d\t\t\t{\"n\":%d,\"pad\":\"%080d\"}\n", 1700000000 + i, i,
                   i, 0);
    data_write(path, text.data, text.len);
    buf_free(&text);
}

START_TEST(runs_in_slices)
{
    write_many("logs/a/log.tsv");
    filter("n", "7");
    ck_assert_str_eq(search(), "m7");
    ck_assert_uint_ge(slices, MANY / 100);
    slices = 0;
    query.filter_count = 0;
    query.filters.len = 0;
    query.limit = 3;
    ck_assert_str_eq(search(), "m19997,m19998,m19999");
    ck_assert_uint_le(slices, 1); /* it stops when it has enough */
}
END_TEST

START_TEST(until_does_not_read_what_is_later)
{
    write_many("logs/a/log.tsv");
    query.until_us = 1700000010000000ull;
    query.limit = 2;
    ck_assert_str_eq(search(), "m8,m9");
    ck_assert_uint_le(slices, 1024 * 1024 / 100 / 64 + 2);
    query.until_us = 1700000000000001ull;
    ck_assert_str_eq(search(), "");
    query.until_us = 1800000000000000ull;
    ck_assert_str_eq(search(), "m19998,m19999");
}
END_TEST

START_TEST(ends_early_and_says_so)
{
    write_many("logs/a/log.tsv");
    filter("n", "none");
    query.read_max = 500000;
    ck_assert_str_eq(search(), "");
    ck_assert(json_is_false(json_object_get(answer, "complete")));
    ck_assert_str_eq(json_string_value(json_object_get(answer, "limit")), "log.search_max");
    const char *to = json_string_value(json_object_get(answer, "searched_to"));
    ck_assert_ptr_nonnull(to);
    ck_assert_int_eq(strncmp(to, "2023-11-15T0", 12), 0);
    query.filter_count = 0;
    query.filters.len = 0;
    query.read_max = UINT64_MAX;
    query.answer_max = 600;
    ck_assert_uint_le(strlen(search()), 8 * 7);
    ck_assert_str_eq(json_string_value(json_object_get(answer, "limit")), "log.answer_max");
    query.answer_max = UINT64_MAX;
    ck_assert_str_ne(search(), "");
    ck_assert_ptr_null(json_object_get(answer, "complete"));
}
END_TEST

START_TEST(searches_go_on_where_one_ended)
{
    write_many("logs/a/log.tsv");
    filter("n", "3");
    query.read_max = 300000;
    int rounds = 0;
    while (strcmp(search(), "m3") != 0) {
        struct span to = span_of(json_string_value(json_object_get(answer, "searched_to")));
        ck_assert(time_text_parse(to.data, to.len, &query.until_us));
        ck_assert_int_lt(++rounds, 100);
    }
    ck_assert_int_gt(rounds, 2);
}
END_TEST

static void set_upto(const char *path, uint64_t size)
{
    struct stat st;
    ck_assert_int_eq(stat(data_path(path), &st), 0);
    query.upto = (struct scribe_rpc_position){true, st.st_ino, size ? size : (uint64_t)st.st_size};
}

START_TEST(nothing_newer_than_a_position)
{
    write_log();
    data_write_text("logs/a/log-20231101-000000.tsv", HEADER "1698796800\tINFO\tolder\t\t\t\n");
    set_upto("logs/a/log.tsv", strlen(HEADER "2023-11-14T22:13:20.000000Z\tINFO\tone\tr-1\t3\t"
                                             "{\"status\":200,\"n\":1.5}\n"));
    ck_assert_str_eq(search(), "older,one");
    set_upto("logs/a/log-20231101-000000.tsv", 0); /* it was rotated meanwhile */
    ck_assert_str_eq(search(), "older");
    query.upto = (struct scribe_rpc_position){true, 0, 0}; /* there was no log.tsv */
    ck_assert_str_eq(search(), "older");
    query.upto.inode = 1; /* it is gone */
    ck_assert_str_eq(search(), "");
}
END_TEST

START_TEST(as_events)
{
    data_write_text("logs/a/log.tsv", HEADER "1700000000.25\tINFO\tone\t\t\t\n"
                                             "later\tINFO\ttwo\t\t\t{\"a\":[\\n1]}\n");
    query.form = SCRIBE_RPC_FORM_EVENTS;
    char *text = search_text();
    ck_assert_str_eq(
        text,
        "id: 1700000000250000\n"
        "data: {\"timestamp\":\"1700000000.25\",\"level\":\"INFO\",\"message\":\"one\"}\n\n"
        "data: {\"timestamp\":\"later\",\"level\":\"INFO\",\"message\":\"two\",\"a\":[ 1]}\n\n");
    free(text);
    query.read_max = 1;
    text = search_text();
    ck_assert_ptr_eq(strstr(text, "event: incomplete\ndata: {\"limit\":\"log.search_max\"}\n\n"),
                     text);
    free(text);
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
    struct stat st;
    ck_assert_int_eq(fstat(fd, &st), 0);
    tail_reader_open(&tail, fd, 0, st.st_size);
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

START_TEST(tail_reader_leaves_endless_lines_out)
{
    size_t endless = (size_t)TAIL_READER_LINE_MAX * 2 + 5, size = endless + 12;
    char *text = malloc(size);
    memset(text, 'x', size);
    memcpy(text, "one\n", 4);
    memcpy(text + size - 7, "\ntwo\n3\n", 7);
    data_write("lines", text, size);
    free(text);
    int fd = data_open("lines");
    static const char *const expected[] = {"3", "two", "one"};
    struct tail_reader tail;
    char *line;
    size_t len;
    tail_reader_open(&tail, fd, 0, (off_t)size);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(tail_reader_next(&tail, &line, &len), 1);
        ck_assert_uint_eq(len, strlen(expected[i]));
        ck_assert_int_eq(memcmp(line, expected[i], len), 0);
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
    tcase_add_loop_test(tcase, fields_of_any_type, 0, sizeof(values) / sizeof(values[0]));
    tcase_add_test(tcase, unknown_levels_are_refused);
    tcase_add_test(tcase, other_things_than_files_are_left_out);
    tcase_add_test(tcase, runs_in_slices);
    tcase_add_test(tcase, until_does_not_read_what_is_later);
    tcase_add_test(tcase, ends_early_and_says_so);
    tcase_add_test(tcase, searches_go_on_where_one_ended);
    tcase_add_test(tcase, nothing_newer_than_a_position);
    tcase_add_test(tcase, as_events);
    tcase_add_test(tcase, tail_reader_leaves_endless_lines_out);
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
