// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/rest/log_params.c supervisor/rest/query.c supervisor/http/target.c
 * supervisor/log/log_level.c common/time_text.c common/rpc.c common/codec.c common/buf.c */
/* The parameters of ?logs=true: what is understood, and what each mistake is answered with. */
#include "common/rpc.h"
#include "supervisor/log/log_level.h"
#include "supervisor/rest/log_params.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const struct config config = {.log_lines_max = 10000};
static struct log_params params;

static bool parse(const char *query)
{
    log_params_free(&params);
    return log_params_parse(&params, span_of(query), &config);
}

static void tear_down(void)
{
    log_params_free(&params);
}

/* "name=value name=value" */
static const char *fields(void)
{
    static char text[1024];
    struct codec_reader r = codec_reader_of(params.fields.data, params.fields.len);
    struct rpc_field f;
    char *at = text;
    *at = '\0';
    while (rpc_field_next(&r, &f))
        at +=
            sprintf(at, "%.*s=%.*s ", (int)f.name.len, f.name.data, (int)f.value.len, f.value.data);
    return text;
}

START_TEST(nothing_given)
{
    ck_assert(parse("logs=true"));
    ck_assert(!params.follow);
    ck_assert_uint_eq(params.levels, 0);
    ck_assert_uint_eq(params.limit, 100);
    ck_assert_uint_eq(params.offset + params.since_us + params.until_us + params.field_count, 0);
}
END_TEST

START_TEST(everything_given)
{
    ck_assert(parse("logs=true&level=error,STDERR&limit=7&offset=3&since=1700000000.5"
                    "&until=2023-11-14T22:13:21%2B00:00&user=Ada%20L&n=1"));
    ck_assert_uint_eq(params.levels,
                      log_level_bit(span_of("ERROR")) | log_level_bit(span_of("STDERR")));
    ck_assert_uint_eq(params.limit, 7);
    ck_assert_uint_eq(params.offset, 3);
    ck_assert_uint_eq(params.since_us, 1700000000500000ull);
    ck_assert_uint_eq(params.until_us, 1700000001000000ull);
    ck_assert_uint_eq(params.field_count, 2);
    ck_assert_str_eq(fields(), "user=Ada L n=1 ");
}
END_TEST

START_TEST(empty_means_not_given_but_for_fields)
{
    ck_assert(parse("logs=true&level=&limit=&offset=&since=&until=&follow=&request_id="));
    ck_assert_uint_eq(params.levels, 0);
    ck_assert_uint_eq(params.limit, 100);
    ck_assert(!params.follow);
    ck_assert_str_eq(fields(), "request_id= ");
}
END_TEST

START_TEST(follow)
{
    ck_assert(parse("logs=true&follow=true&limit=0&since=1700000000"));
    ck_assert(params.follow);
    ck_assert_uint_eq(params.limit, 0);
    ck_assert(parse("logs=true&follow=false&offset=1"));
    ck_assert(!params.follow);
}
END_TEST

static const struct {
    const char *since;
    uint64_t us;
} times[] = {
    {"0", 0},
    {"1700000000", 1700000000000000ull},
    {"1700000000.123456", 1700000000123456ull},
    {"2023-11-14", 1699920000000000ull},
    {"2023-11-14T22:13", 1699999980000000ull},
    {"2023-11-14T22:13:20", 1700000000000000ull},
    {"2023-11-14 22:13:20", 1700000000000000ull},
    {"2023-11-14+22:13:20", 1700000000000000ull}, /* the plus of a query is a space */
    {"2023-11-14T22:13:20Z", 1700000000000000ull},
    {"2023-11-14t22:13:20z", 1700000000000000ull},
    {"2023-11-14T22:13:20.5Z", 1700000000500000ull},
    {"2023-11-14T23:13:20+01:00", 1700000000000000ull},
    {"2023-11-14T23:13:20%2B01:00", 1700000000000000ull},
    {"2023-11-14T23:13:20%2B0100", 1700000000000000ull},
    {"2023-11-14T21:13:20-01:00", 1700000000000000ull},
};

START_TEST(times_of_all_forms)
{
    char query[128];
    snprintf(query, sizeof(query), "logs=true&since=%s", times[_i].since);
    ck_assert_msg(parse(query), "%s: %s", query, params.problem);
    ck_assert_uint_eq(params.since_us, times[_i].us);
    snprintf(query, sizeof(query), "logs=true&until=%s", times[_i].since);
    ck_assert(parse(query));
    ck_assert_uint_eq(params.until_us, times[_i].us ? times[_i].us : 1);
}
END_TEST

static const struct {
    const char *query, *problem;
} refused[] = {
    {"level=LOUD", "level must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, STDOUT, STDERR"},
    {"level=ERROR,", "level must be"},
    {"level=ERROR&level=INFO", "level is given twice"},
    {"level=ERROR%00", "level holds a NUL"},
    {"limit=0", "limit must be a number from 1 to 10000"},
    {"limit=-1", "limit must be"},
    {"limit=+1", "limit must be"},
    {"limit=1.5", "limit must be"},
    {"limit=0x10", "limit must be"},
    {"limit=all", "limit must be"},
    {"limit=10001", "(log.lines_max)"},
    {"limit=18446744073709551615", "(log.lines_max)"},
    {"limit=18446744073709551616", "limit must be"},
    {"limit=1&limit=1", "limit is given twice"},
    {"offset=-1", "offset must be a number, 0 or more"},
    {"offset=x", "offset must be"},
    {"offset=99999999999999999999", "offset must be"},
    {"offset=1&offset=2", "offset is given twice"},
    {"since=-1", "since must be seconds since 1970"},
    {"since=yesterday", "since must be"},
    {"since=2023-13-01", "since must be"},
    {"since=2023-02-30", "since must be"},
    {"since=2023-11-14T25:00", "since must be"},
    {"since=1969-12-31", "since must be"},
    {"since=1700000000000", "since must be"},
    {"since=1&since=2", "since is given twice"},
    {"until=-0.5", "until must be seconds since 1970"},
    {"until=1e9", "until must be"},
    {"until=nan", "until must be"},
    {"until=1&until=1", "until is given twice"},
    {"follow=maybe", "follow must be true or false"},
    {"follow=true&follow=true", "follow is given twice"},
    {"follow=true&offset=1", "offset has no meaning"},
    {"follow=true&until=1700000000", "until has no meaning"},
    {"logs=false", "logs is given twice"},
    {"a=1&b=2&a=3", "a is given twice"},
    {"=1", "a parameter has no name"},
    {"f1=&f2=&f3=&f4=&f5=&f6=&f7=&f8=&f9=&f10=&f11=&f12=&f13=&f14=&f15=&f16=&f17=",
     "more than 16 fields to compare"},
};

START_TEST(mistakes_are_named)
{
    char query[256];
    snprintf(query, sizeof(query), "logs=true&%s", refused[_i].query);
    ck_assert_msg(!parse(query), "%s", query);
    ck_assert_msg(strstr(params.problem, refused[_i].problem), "%s: %s", query, params.problem);
    bool names_limit = strstr(params.problem, "log.lines_max");
    ck_assert_int_eq(params.limit_name != NULL, names_limit);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_params");
    TCase *tcase = tcase_create("log_params");
    tcase_add_checked_fixture(tcase, NULL, tear_down);
    tcase_add_test(tcase, nothing_given);
    tcase_add_test(tcase, everything_given);
    tcase_add_test(tcase, empty_means_not_given_but_for_fields);
    tcase_add_test(tcase, follow);
    tcase_add_loop_test(tcase, times_of_all_forms, 0, sizeof(times) / sizeof(times[0]));
    tcase_add_loop_test(tcase, mistakes_are_named, 0, sizeof(refused) / sizeof(refused[0]));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
