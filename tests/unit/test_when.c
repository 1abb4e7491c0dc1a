// SPDX-License-Identifier: Apache-2.0
/* links: common/when.c common/cron.c */
#include "common/when.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define US 1000000ll

static char problem[WHEN_PROBLEM_SIZE];

static void setup(void)
{
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
}

static struct when read_when(const char *text)
{
    struct when w;
    ck_assert_msg(when_parse(text, &w, problem, sizeof(problem)), "%s: %s", text, problem);
    return w;
}

START_TEST(kinds)
{
    ck_assert_int_eq(read_when("30").kind, WHEN_EVERY);
    ck_assert_int_eq(read_when("30").every_us, 30 * US);
    ck_assert_int_eq(read_when("0.25").every_us, US / 4);
    ck_assert_int_eq(read_when("1e3").every_us, 1000 * US);
    ck_assert_int_eq(read_when("*/5 * * * *").kind, WHEN_CRON);
    ck_assert_int_eq(read_when("@hourly").kind, WHEN_CRON);
    ck_assert_int_eq(read_when("2026-11-22T10:00:00Z").kind, WHEN_ONCE);
}
END_TEST

START_TEST(times)
{
    int64_t ten = 1795341600 * US; /* 2026-11-22 10:00 UTC, 11:00 in Berlin */
    ck_assert_int_eq(read_when("2026-11-22T10:00:00Z").once_us, ten);
    ck_assert_int_eq(read_when("2026-11-22T10:00Z").once_us, ten);
    ck_assert_int_eq(read_when("2026-11-22T11:00:00").once_us, ten);
    ck_assert_int_eq(read_when("2026-11-22 11:00").once_us, ten);
    ck_assert_int_eq(read_when("2026-11-22T12:00:00+02:00").once_us, ten);
    ck_assert_int_eq(read_when("2026-11-22T05:00:00-05:00").once_us, ten);
    ck_assert_int_eq(read_when("2026-11-22T11:00:00.5").once_us, ten + US / 2);
    ck_assert_int_eq(read_when("2026-11-22").once_us, ten - 11 * 3600 * US);
    ck_assert_int_eq(read_when("2026-07-22T12:00").once_us, 1784714400 * US); /* summer */
}
END_TEST

static const struct {
    const char *text, *why;
} bad_times[] = {
    {"", "0 fields"},
    {"0", "from 0.01 to"},
    {"-5", "from 0.01 to"},
    {"0.001", "from 0.01 to"},
    {"31536001", "from 0.01 to"},
    {"1.2.3", "from 0.01 to"},
    {"1e999", "from 0.01 to"},
    {"nan", "minute"},
    {"tomorrow", "minute"},
    {"2026-13-01T00:00:00Z", "a time is written"},
    {"2026-02-30", "a time is written"},
    {"2026-11-22T25:00", "a time is written"},
};

START_TEST(bad)
{
    struct when w;
    ck_assert(!when_parse(bad_times[_i].text, &w, problem, sizeof(problem)));
    ck_assert_msg(strstr(problem, bad_times[_i].why) != NULL, "%s: %s", bad_times[_i].text,
                  problem);
}
END_TEST

START_TEST(too_long)
{
    char text[WHEN_TEXT_MAX + 2];
    struct when w;
    memset(text, ' ', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    ck_assert(!when_parse(text, &w, problem, sizeof(problem)));
}
END_TEST

START_TEST(interval_keeps_its_phase)
{
    struct when w = read_when("10");
    ck_assert_int_eq(when_next(&w, 100 * US, 100 * US), 110 * US);
    ck_assert_int_eq(when_next(&w, 100 * US, 103 * US), 110 * US);
    ck_assert_int_eq(when_next(&w, 100 * US, 110 * US), 120 * US);
    ck_assert_int_eq(when_next(&w, 100 * US, 1234 * US), 1240 * US);
    ck_assert_int_eq(when_next(&w, 100 * US, 71 * US), 80 * US); /* the clock was put back */
    ck_assert_int_eq(when_next(&w, 100 * US, 70 * US), 80 * US);
    ck_assert_int_eq(when_next(&w, 100 * US, 99 * US), 100 * US);
}
END_TEST

START_TEST(one_run)
{
    struct when w = read_when("2026-11-22T10:00:00Z");
    ck_assert_int_eq(when_next(&w, 0, w.once_us - 1), w.once_us);
    ck_assert_int_eq(when_next(&w, 0, w.once_us), WHEN_NEVER);
}
END_TEST

static void advance(const char *text, int64_t from_us, int64_t to_us, uint64_t most, uint64_t count,
                    int64_t at_us)
{
    struct when w = read_when(text);
    ck_assert_uint_eq(when_advance(&w, &from_us, to_us, most), count);
    ck_assert_int_eq(from_us, at_us);
}

START_TEST(counting)
{
    const char *table = "*/5 * * * *", *once = "2026-11-22T10:00:00Z";
    int64_t ten = 1795341600 * US, hour = 3600 * US;
    advance("10", 100 * US, 100 * US, 99, 0, 100 * US);
    advance("10", 100 * US, 129 * US, 99, 2, 120 * US);
    advance("10", 100 * US, 130 * US, 99, 3, 130 * US);
    advance("10", 0, 1000000 * US, 99, 99, 990 * US);
    advance("10", 130 * US, 100 * US, 99, 0, 130 * US);
    advance(table, ten, ten + hour + US, 99, 12, ten + hour);
    advance(table, ten, ten + hour, 5, 5, ten + 25 * 60 * US);
    advance(table, ten, ten + 299 * US, 5, 0, ten);
    advance(table, ten, ten + 365 * 24 * hour, 1000000, 365 * 288, ten + 365 * 24 * hour);
    advance(once, ten - 1, ten, 5, 1, ten);
    advance(once, ten - 1, ten, 0, 0, ten - 1);
    advance(once, ten, ten + US, 5, 0, ten);
}
END_TEST

static void again(const char *text, int64_t ran_s, int64_t now_s, int64_t next_s)
{
    struct when w = read_when(text);
    int64_t ten = 1795341600; /* 2026-11-22 10:00 UTC */
    ck_assert_int_eq(when_next_after(&w, (ten + ran_s) * US, (ten + now_s) * US),
                     (ten + next_s) * US);
}

START_TEST(times_that_come_again)
{
    const char *daily = "0 11 * * *", *often = "*/5 * * * *"; /* 10:00 UTC */
    const int64_t hour = 3600, day = 24 * hour;
    again(daily, 1, 60, day);
    again(daily, 0, 0, day);
    again(daily, 1, -1, day);
    again(daily, 1, 1 - 3 * hour, day);
    again(daily, 1, -3 * hour, 0); /* further back: the clock is believed */
    again(daily, 1, -day, 0);
    again(often, 1, -1, 300);
    again(often, 1, -59, 300);
    again(often, 1, -60, 0);
    again(often, 1, -hour, 300 - hour);
    again("7", 0, 3, 7);
    again("7", 0, -10, -7);
}
END_TEST

static void set_clock(const char *text, int64_t next_s, int64_t ran_s, int64_t by_s, int64_t now_s,
                      int64_t new_next_s)
{
    struct when w = read_when(text);
    int64_t ten = 1795341600;
    ck_assert_int_eq(
        when_step(&w, (ten + next_s) * US, (ten + ran_s) * US, by_s * US, (ten + now_s) * US),
        (ten + new_next_s) * US);
}

START_TEST(the_clock_is_set)
{
    const char *daily = "0 11 * * *", *often = "*/5 * * * *", *once = "2026-11-22T10:00:00Z";
    const int64_t hour = 3600, day = 24 * hour;
    set_clock("7", 7, 0, -hour, 3 - hour, 7 - hour);
    set_clock("7", 7, 0, day, 3 + day, 7 + day);
    set_clock(often, 300, 1, -hour, 10 - hour, 300 - hour);
    set_clock(often, 300, 1, day, 10 + day, 300); /* it is late: a matter of its misfire */
    set_clock(often, 300, 1, -9, 1, 300);
    set_clock(daily, day, 1, -hour, 10 - hour, day);
    set_clock(daily, day, 1, -4 * hour, 10 - 4 * hour, 0);
    set_clock(daily, day, -day, -hour, -hour, 0);
    set_clock(once, 0, -day, -hour, -2 * hour, 0);
    set_clock(once, 0, -day, day, hour, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("when");
    TCase *t = tcase_create("when");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, kinds);
    tcase_add_test(t, times);
    tcase_add_loop_test(t, bad, 0, (int)(sizeof(bad_times) / sizeof(bad_times[0])));
    tcase_add_test(t, too_long);
    tcase_add_test(t, interval_keeps_its_phase);
    tcase_add_test(t, one_run);
    tcase_add_test(t, counting);
    tcase_add_test(t, times_that_come_again);
    tcase_add_test(t, the_clock_is_set);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
