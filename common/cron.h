// SPDX-License-Identifier: Apache-2.0
/*
 * cron - a time table of five fields, and when it comes next.
 *
 * Fields are minute (0-59), hour (0-23), day of the month (1-31), month (1-12 or jan-dec) and day
 * of the week (0-7 or sun-sat, both 0 and 7 are Sunday), apart by spaces or tabs. A field is a list
 * of star, number, name or range, each with an optional /step (a number with a step goes on to the
 * end). Where neither day field begins with a star, a day that matches either of them is one.
 * @hourly, @daily (@midnight), @weekly, @monthly and @yearly (@annually) are understood.
 *
 * Times are those of the process's time zone (TZ). Where clocks are put forward, what stood in the
 * missing hour comes once, at its end; where they are put back, a table with an hour of its own
 * comes in the first of the two equal hours only, and one whose hour field begins with a star goes
 * on through both. Pure but for the zone.
 */
#ifndef COMMON_CRON_H
#define COMMON_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cron {
    uint64_t minutes;                    /* bit n: minute n */
    uint32_t hours;                      /* likewise */
    uint32_t days;                       /* bits 1..31 */
    uint32_t months;                     /* bits 1..12 */
    uint32_t weekdays;                   /* bits 0..6, 0 is Sunday */
    bool any_hour, any_day, any_weekday; /* the field begins with a star */
};

enum { CRON_PROBLEM_SIZE = 160 };
/* False and a line for people when the text is no time table, or one that never comes. */
bool cron_parse(const char *text, struct cron *cron, char *problem, size_t problem_size);
/* The first time after `after` (seconds since 1970). */
int64_t cron_next(const struct cron *cron, int64_t after);
/* How many times lie in (*at, to], counted up to `most`; *at is moved to the last one counted. A
 * few steps a day, however many of its minutes match; those of the last day are gone through. */
uint64_t cron_advance(const struct cron *cron, int64_t *at, int64_t to, uint64_t most);

#endif
