// SPDX-License-Identifier: Apache-2.0
/* links: common/events/event_time.c */
#include "common/events/event_time.h"

#include <check.h>
#include <time.h>

#define US 1000000ll

static const struct {
    const char *text;
    int64_t us;
} good[] = {
    {"1970-01-01T00:00:00.000000Z", 0},
    {"1969-12-31T23:59:59.999999Z", -1},
    {"2026-11-22T05:30:00.123456Z", 1795325400123456},
    {"2026-11-22T05:30:00.1234567890Z", 1795325400123456},
    {"2026-11-22T05:30:00.5Z", 1795325400500000},
    {"2026-11-22T05:30:00,5z", 1795325400500000},
    {"2026-11-22t05:30Z", 1795325400 * US},
    {"2026-11-22 06:30:00+01:00", 1795325400 * US},
    {"2026-11-22T00:00:00-0530", 1795325400 * US},
    {"2026-11-22T06:30+01", 1795325400 * US},
    {"2026-11-22T05:30:00+05:30:15", 1795325400 * US - (19815 * US)},
    {"2026-11-22T05:30:00-05:30:15.123456", 1795325400 * US + 19815123456},
    {"2024-02-29T00:00:00Z", 1709164800 * US},
    {"0001-01-01T00:00:00.000000Z", EVENT_TIME_MIN},
    {"9999-12-31T23:59:59.999999Z", EVENT_TIME_MAX},
};

static const char *const bad[] = {
    "",
    "2026",
    "2026-11-22",
    "2026-11-22T05:30:00",
    "2026-11-22T05Z",
    "2026-11-22T05:30:00.Z",
    "2026-02-30T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-11-22T24:00:00Z",
    "2026-11-22T05:60:00Z",
    "2026-11-22T05:30:60Z",
    "2026-11-22T05:30:00+24:00",
    "2026-11-22T05:30:00+01:60",
    "2026-11-22T05:30:00+01:",
    "2026-11-22T05:30:00+01:00:",
    "2026-11-22T05:30:00+01:00:60",
    "2026-11-22T05:30:00+01:00:00.",
    "2026-11-22T05:30:00+1",
    "2026-11-22T05:30:00+01.5",
    "2026-11-22T05:30:00+0100.5",
    "2026-11-22T05:30:00+01:00.5",
    "2026-11-22T05:30:00+0100:30",
    "2026-11-22T05:30:00+010030",
    "2026-11-22T05:30:00+",
    "2026-11-22T05:30:00ZZ",
    "2026-11-22T05:30:00Z ",
    " 2026-11-22T05:30:00Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "10000-01-01T00:00:00Z",
    "-2026-11-22T05:30:00Z",
    "1795325400",
    "2026-11-22_05:30:00Z",
};

START_TEST(read)
{
    int64_t us = 42;
    ck_assert_msg(event_time_parse(span_of(good[_i].text), &us), "%s", good[_i].text);
    ck_assert_int_eq(us, good[_i].us);
}
END_TEST

START_TEST(refused)
{
    int64_t us;
    ck_assert_msg(!event_time_parse(span_of(bad[_i]), &us), "%s", bad[_i]);
}
END_TEST

START_TEST(a_nul_is_no_separator)
{
    int64_t us;
    ck_assert(!event_time_parse((struct span){"2026-11-22\00005:30:00Z", 20}, &us));
}
END_TEST

/* Every 37th day of the years 1 to 9999, against the C library, and back. */
START_TEST(as_the_library_counts)
{
    for (int64_t us = EVENT_TIME_MIN + 1; us < EVENT_TIME_MAX;
         us += 37 * 86400 * US + 12345678901) {
        int64_t seconds = us / US - (us % US < 0), again;
        time_t when = (time_t)seconds;
        struct tm tm;
        char text[EVENT_TIME_SIZE];
        struct event_date date = event_time_date(us);
        gmtime_r(&when, &tm);
        ck_assert_int_eq(date.year, tm.tm_year + 1900);
        ck_assert_int_eq(date.month, tm.tm_mon + 1);
        ck_assert_int_eq(date.day, tm.tm_mday);
        ck_assert_int_eq(date.hour, tm.tm_hour);
        ck_assert_int_eq(date.minute, tm.tm_min);
        ck_assert_int_eq(date.second, tm.tm_sec);
        ck_assert_int_eq(date.microsecond, us - seconds * US);
        ck_assert_int_eq(event_time_of(&date), us);
        event_time_text(us, text);
        ck_assert(event_time_parse(span_of(text), &again) && again == us);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("event_time");
    TCase *t = tcase_create("event_time");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, read, 0, (int)(sizeof(good) / sizeof(*good)));
    tcase_add_loop_test(t, refused, 0, (int)(sizeof(bad) / sizeof(*bad)));
    tcase_add_test(t, a_nul_is_no_separator);
    tcase_add_test(t, as_the_library_counts);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
