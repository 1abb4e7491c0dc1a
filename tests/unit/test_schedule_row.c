// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/schedules/schedule_row.c common/rpc.c common/when.c common/cron.c */
#include "supervisor/schedules/schedule_row.h"

#include <check.h>
#include <string.h>

#define GOOD                                                                  \
    "tick\t30\tonce\tcall\t2026-11-22T10:00:00.000000Z\t2026-11-22T09:59:30." \
    "500000Z\tok\t7\t1\t2\t\t{}"

static char problem[SCHEDULE_PROBLEM_SIZE];

START_TEST(round_trip)
{
    struct schedule_row got, row = {.function = span_of("tick"),
                                    .when = span_of("*/5 * * * *"),
                                    .status = span_of("ValueError: a\tb\nc\\"),
                                    .suspended = span_of("no function"),
                                    .payload = span_of("{\"a\":\"\\t\"}"),
                                    .misfire = RPC_MISFIRE_ALL,
                                    .origin = SCHEDULE_BY_DEPLOY,
                                    .next_us = 1795341600000001,
                                    .runs = 1,
                                    .errors = 2,
                                    .skipped = 3};
    struct buf out = BUF_INIT;
    schedule_row_put(&out, &row);
    ck_assert_ptr_null(memchr(out.data, '\n', out.len));
    ck_assert_msg(
        schedule_row_read(&got, (struct span){out.data, out.len}, problem, sizeof(problem)), "%s",
        problem);
    ck_assert(span_equal(got.function, "tick") && span_equal(got.when, "*/5 * * * *"));
    ck_assert(span_equal(got.status, "ValueError: a\tb\nc\\"));
    ck_assert(span_equal(got.suspended, "no function"));
    ck_assert(span_equal(got.payload, "{\"a\":\"\\t\"}"));
    ck_assert_int_eq(got.misfire, RPC_MISFIRE_ALL);
    ck_assert_int_eq(got.origin, SCHEDULE_BY_DEPLOY);
    ck_assert_int_eq(got.next_us, row.next_us);
    ck_assert_int_eq(got.last_us, 0);
    ck_assert(got.runs == 1 && got.errors == 2 && got.skipped == 3);
    schedule_row_free(&got);
    buf_free(&out);
}
END_TEST

START_TEST(columns_that_are_not_known)
{
    struct schedule_row got;
    ck_assert(schedule_row_read(&got, span_of(GOOD "\tmore\tof it"), problem, sizeof(problem)));
    ck_assert(span_equal(got.payload, "{}"));
    schedule_row_free(&got);
}
END_TEST

/* One column of the good row, replaced. */
static const struct {
    const char *from, *to, *why;
} wrong[] = {
    {"tick\t", "1tick\t", "no name"},
    {"tick\t", "\t", "no name"},
    {"\t30\t", "\tsoon\t", "minute"},
    {"\t30\t", "\t3\\00\t", "no time"},
    {"\t30\t", "\t0\t", "interval"},
    {"\tonce\t", "\tnever\t", "word"},
    {"\tcall\t", "\tmagic\t", "word"},
    {"2026-11-22T10:00:00.000000Z", "ten", "time"},
    {"2026-11-22T09:59:30.500000Z", "-1", "time"},
    {"\t7\t", "\t-7\t", "number"},
    {"\t1\t", "\t\t", "number"},
    {"\t2\t", "\t99999999999999999999\t", "number"},
    {"\tok\t", "\t\xff\t", "UTF-8"},
    {"{}", "{", "JSON"},
    {"\t\t{}", "\t{}", "missing"},
};

START_TEST(each_wrong_column)
{
    struct schedule_row got;
    char text[512], *at;
    strcpy(text, GOOD);
    ck_assert_ptr_nonnull(at = strstr(text, wrong[_i].from));
    const char *rest = strstr(GOOD, wrong[_i].from) + strlen(wrong[_i].from);
    strcpy(at, wrong[_i].to);
    strcat(text, rest);
    ck_assert(!schedule_row_read(&got, span_of(text), problem, sizeof(problem)));
    ck_assert_msg(strstr(problem, wrong[_i].why) != NULL, "%s: %s", text, problem);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("schedule_row");
    TCase *t = tcase_create("schedule_row");
    tcase_add_test(t, round_trip);
    tcase_add_test(t, columns_that_are_not_known);
    tcase_add_loop_test(t, each_wrong_column, 0, (int)(sizeof(wrong) / sizeof(wrong[0])));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
