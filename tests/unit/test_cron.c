// SPDX-License-Identifier: Apache-2.0
/* links: common/cron.c */
#include "common/cron.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char problem[CRON_PROBLEM_SIZE];

static void use_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static struct cron table(const char *text)
{
    struct cron c;
    ck_assert_msg(cron_parse(text, &c, problem, sizeof(problem)), "%s: %s", text, problem);
    return c;
}

/* --- reading --- */

START_TEST(good)
{
    static const char *const texts[] = {"* * * * *",
                                        "*/5 * * * *",
                                        "0 0 1 1 0",
                                        "59 23 31 12 7",
                                        "1,2,3-9/2 0-5 * * 1-5",
                                        "  0   0 *  * *  ",
                                        "*\t* * * *",
                                        "0 9 * jan-mar Mon-FRI",
                                        "0 0 29 feb *",
                                        "0 0 * * sun,3,sat",
                                        "5/10 * * * *",
                                        "@hourly",
                                        "@Daily",
                                        "@midnight",
                                        "@weekly",
                                        "@monthly",
                                        "@yearly",
                                        "@annually",
                                        "0 0 30 2 1",
                                        "00 07 * * *"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        table(texts[i]);
}
END_TEST

static const struct {
    const char *text, *why;
} bad_tables[] = {
    {"", "0 fields"},
    {"* * * *", "4 fields"},
    {"* * * * * *", "6 fields, not five"},
    {"tomorrow", "1 field, not five"},
    {"60 * * * *", "minute"},
    {"* 24 * * *", "hour"},
    {"* * 0 * *", "day of the month"},
    {"* * 32 * *", "day of the month"},
    {"* * * 13 *", "month"},
    {"* * * foo *", "or names"},
    {"* * * * 8", "day of the week"},
    {"* * * * monday", "day of the week"},
    {"*/0 * * * *", "minute"},
    {"*/60 * * * *", "minute"},
    {"5-1 * * * *", "minute"},
    {"1, * * * *", "minute"},
    {"a * * * *", "minute"},
    {"-1 * * * *", "minute"},
    {"*****", "1 field"},
    {"001 * * * *", "minute"},
    {"jan * * * *", "minute"},
    {"0 0 * * fri-mon", "day of the week"},
    {"0 0 30 2 *", "never comes"},
    {"0 0 31 4,jun,9 *", "never comes"},
    {"@reboot", "@ goes with hourly"},
};

START_TEST(bad)
{
    struct cron c;
    ck_assert(!cron_parse(bad_tables[_i].text, &c, problem, sizeof(problem)));
    ck_assert_msg(strstr(problem, bad_tables[_i].why) != NULL, "%s: %s", bad_tables[_i].text,
                  problem);
}
END_TEST

/* --- when it comes next --- */

static int64_t utc(const char *text)
{
    struct tm tm = {0};
    ck_assert_ptr_nonnull(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return timegm(&tm);
}

static const char *show(int64_t t)
{
    static char text[32];
    time_t time = (time_t)t;
    struct tm tm;
    gmtime_r(&time, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    return text;
}

/* All in UTC. */
static const struct {
    const char *zone, *text, *after, *next;
} coming[] = {
    {"UTC", "* * * * *", "2026-11-22 10:00:00", "2026-11-22 10:01:00"},
    {"UTC", "* * * * *", "2026-11-22 10:00:59", "2026-11-22 10:01:00"},
    {"UTC", "*/15 * * * *", "2026-12-31 23:50:00", "2027-01-01 00:00:00"},
    {"UTC", "5/10 * * * *", "2026-11-22 10:46:00", "2026-11-22 10:55:00"},
    {"UTC", "30 9 * * *", "2026-11-22 09:30:00", "2026-11-23 09:30:00"},
    {"UTC", "0 0 29 2 *", "2026-11-22 00:00:00", "2028-02-29 00:00:00"},
    {"UTC", "0 0 29 2 *", "2096-03-01 00:00:00", "2104-02-29 00:00:00"},
    {"UTC", "0 0 31 * *", "2026-11-22 00:00:00", "2026-12-31 00:00:00"},
    {"UTC", "0 0 1 jan *", "2026-01-01 00:00:00", "2027-01-01 00:00:00"},
    {"UTC", "@weekly", "2026-11-22 00:00:00", "2026-11-29 00:00:00"}, /* a Sunday */
    {"UTC", "0 0 * * 7", "2026-11-21 00:00:00", "2026-11-22 00:00:00"},
    {"UTC", "0 0 * * 5-7", "2026-11-22 00:00:00", "2026-11-27 00:00:00"},
    /* either day, when neither is a star; both, when one is */
    {"UTC", "0 0 13 * 5", "2026-11-13 00:00:00", "2026-11-20 00:00:00"},
    {"UTC", "0 0 15 * 5", "2026-11-13 12:00:00", "2026-11-15 00:00:00"},
    {"UTC", "0 0 */2 * 1", "2026-11-22 00:00:00", "2026-11-23 00:00:00"},
    {"UTC", "0 0 */2 * 1", "2026-11-23 00:00:00", "2026-12-07 00:00:00"},
    {"Asia/Kolkata", "0 9 * * *", "2026-11-22 00:00:00", "2026-11-22 03:30:00"},
    /* 29 March 2026: 02:00 becomes 03:00 in Berlin (01:00 UTC) */
    {"Europe/Berlin", "30 2 * * *", "2026-03-28 01:30:00", "2026-03-29 01:00:00"},
    {"Europe/Berlin", "30 2 * * *", "2026-03-29 01:00:00", "2026-03-30 00:30:00"},
    {"Europe/Berlin", "*/20 2 * * *", "2026-03-28 02:00:00", "2026-03-29 01:00:00"},
    {"Europe/Berlin", "*/20 2 * * *", "2026-03-29 01:00:00", "2026-03-30 00:00:00"},
    {"Europe/Berlin", "0 3 * * *", "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
    {"Europe/Berlin", "0 3 * * *", "2026-03-29 01:00:00", "2026-03-30 01:00:00"},
    {"Europe/Berlin", "30 * * * *", "2026-03-29 00:30:00", "2026-03-29 01:30:00"},
    {"Europe/Berlin", "0 12 * * *", "2026-03-28 11:00:00", "2026-03-29 10:00:00"},
    /* 25 October 2026: 03:00 becomes 02:00 again (01:00 UTC) */
    {"Europe/Berlin", "30 2 * * *", "2026-10-24 12:00:00", "2026-10-25 00:30:00"},
    {"Europe/Berlin", "30 2 * * *", "2026-10-25 00:30:00", "2026-10-26 01:30:00"},
    {"Europe/Berlin", "30 2 * * *", "2026-10-25 01:10:00", "2026-10-26 01:30:00"},
    {"Europe/Berlin", "*/30 2 * * *", "2026-10-25 00:30:00", "2026-10-26 01:00:00"},
    {"Europe/Berlin", "0 3 * * *", "2026-10-25 00:30:00", "2026-10-25 02:00:00"},
    {"Europe/Berlin", "30 * * * *", "2026-10-25 00:30:00", "2026-10-25 01:30:00"},
    {"Europe/Berlin", "30 * * * *", "2026-10-25 01:30:00", "2026-10-25 02:30:00"},
    {"Europe/Berlin", "0 */2 * * *", "2026-10-25 00:00:00", "2026-10-25 01:00:00"},
    /* Lord Howe puts its clocks by half an hour: 02:00 becomes 02:30 on 4 October 2026 */
    {"Australia/Lord_Howe", "15 2 * * *", "2026-10-03 12:00:00", "2026-10-03 15:30:00"},
    {"Australia/Lord_Howe", "45 2 * * *", "2026-10-03 12:00:00", "2026-10-03 15:45:00"},
    /* Samoa left 30 December 2011 out */
    {"Pacific/Apia", "0 12 30 12 *", "2011-12-29 12:00:00", "2011-12-30 10:00:00"},
    {"America/New_York", "30 1 * * *", "2026-11-01 04:00:00", "2026-11-01 05:30:00"},
    {"America/New_York", "30 1 * * *", "2026-11-01 05:30:00", "2026-11-02 06:30:00"},
};

START_TEST(next)
{
    use_zone(coming[_i].zone);
    struct cron c = table(coming[_i].text);
    int64_t found = cron_next(&c, utc(coming[_i].after));
    ck_assert_msg(found == utc(coming[_i].next), "%s in %s after %s: %s, not %s", coming[_i].text,
                  coming[_i].zone, coming[_i].after, show(found), coming[_i].next);
}
END_TEST

/* --- against every minute of two years, looked at one by one --- */

static bool minute_matches(const struct cron *c, const struct tm *tm)
{
    bool day = c->days >> tm->tm_mday & 1, weekday = c->weekdays >> tm->tm_wday & 1;
    bool either = !c->any_day && !c->any_weekday;
    return (c->minutes >> tm->tm_min & 1) && (c->hours >> tm->tm_hour & 1) &&
           (c->months >> (tm->tm_mon + 1) & 1) && (either ? day || weekday : day && weekday);
}

static int64_t plain_next(const struct cron *c, int64_t after)
{
    for (int64_t t = after / 60 * 60 + 60;; t += 60) {
        time_t time = (time_t)t;
        struct tm tm;
        localtime_r(&time, &tm);
        if (minute_matches(c, &tm))
            return t;
    }
}

START_TEST(as_a_walk_finds_it)
{
    static const char *const texts[] = {"*/7 * * * *", "11 */5 * * *", "0 * 1 * 1",
                                        "5,50 * * 3,10 *"};
    static const char *const zones[] = {"UTC", "Europe/Berlin", "America/New_York",
                                        "Australia/Lord_Howe"};
    use_zone(zones[_i / 4]);
    struct cron c = table(texts[_i % 4]);
    srandom((unsigned)_i);
    for (int i = 0; i < 60; i++) {
        int64_t after = utc("2026-01-01 00:00:00") + random() % (2 * 365 * 86400);
        int64_t found = cron_next(&c, after), plain = plain_next(&c, after);
        ck_assert_msg(found == plain, "%s after %lld: %lld, not %lld", texts[_i % 4],
                      (long long)after, (long long)found, (long long)plain);
    }
}
END_TEST

static void compare_advance(const struct cron *c, int64_t from, int64_t to, uint64_t most)
{
    int64_t at = from, walked = from;
    uint64_t count = 0;
    for (int64_t next; count < most && (next = cron_next(c, walked)) <= to; count++)
        walked = next;
    ck_assert_uint_eq(cron_advance(c, &at, to, most), count);
    ck_assert_int_eq(at, walked);
}

/* Days on which the clock is changed: what stood in the missing hour comes when it is over. */
START_TEST(over_a_change)
{
    static const char *const texts[] = {"15,45 2 * * *", "30 2-4 * * *", "0 2 * * *",
                                        "*/10 1-3 * * *", "* * * * *"};
    static const struct {
        const char *zone, *day;
    } changes[] = {{"Europe/Berlin", "2026-03-29 00:00:00"},
                   {"Europe/Berlin", "2026-10-25 00:00:00"},
                   {"America/New_York", "2026-03-08 05:00:00"},
                   {"Australia/Lord_Howe", "2026-10-03 13:30:00"},
                   {"Australia/Lord_Howe", "2026-04-04 13:00:00"}};
    use_zone(changes[_i / 5].zone);
    struct cron c = table(texts[_i % 5]);
    int64_t day = utc(changes[_i / 5].day);
    for (int64_t from = day - 86400; from < day + 43200; from += 1800)
        compare_advance(&c, from, from + 3 * 86400, 100000);
}
END_TEST

START_TEST(many_at_once)
{
    static const char *const texts[] = {"* * * * *", "*/7 3-22 * * *", "11 */5 * * *", "0 2 * * *",
                                        "30 0,2,23 1-20 * 1"};
    static const char *const zones[] = {"UTC", "Europe/Berlin", "America/New_York",
                                        "Australia/Lord_Howe"};
    use_zone(zones[_i / 5]);
    struct cron c = table(texts[_i % 5]);
    srandom((unsigned)_i);
    for (int i = 0; i < 40; i++) {
        int64_t from = utc("2026-01-01 00:00:00") + random() % (365 * 86400);
        uint64_t most = random() % 3 ? 100000 : (uint64_t)random() % 3000;
        compare_advance(&c, from, from + random() % (9 * 86400), most);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cron");
    TCase *t = tcase_create("cron");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, good);
    tcase_add_loop_test(t, bad, 0, (int)(sizeof(bad_tables) / sizeof(bad_tables[0])));
    tcase_add_loop_test(t, next, 0, (int)(sizeof(coming) / sizeof(coming[0])));
    tcase_add_loop_test(t, as_a_walk_finds_it, 0, 16);
    tcase_add_loop_test(t, over_a_change, 0, 25);
    tcase_add_loop_test(t, many_at_once, 0, 20);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
