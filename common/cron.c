// SPDX-License-Identifier: Apache-2.0
#include "common/cron.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    FIELDS = 5,
    DIGITS_MAX = 2,
    NAME_LEN = 3,
    MINUTE_S = 60,
    HOUR_S = 3600,
    DAY_S = 86400,
    DAY_MINUTES = 1440,
    YEARS_MAX = 9, /* 29 February after one that a century left out */
};

/* --- reading --- */

struct field {
    const char *name;
    unsigned least, most;
    const char *const *names; /* of `least` and what follows; NULL: numbers only */
    size_t name_count;
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static const struct field fields[FIELDS] = {
    {"minute", 0, 59, NULL, 0},
    {"hour", 0, 23, NULL, 0},
    {"day of the month", 1, 31, NULL, 0},
    {"month", 1, 12, month_names, 12},
    {"day of the week", 0, 7, day_names, 7},
};

static const struct {
    const char *name, *text;
} shorthands[] = {
    {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

static bool accept(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static bool read_digits(const char **at, unsigned *number)
{
    const char *start = *at;
    *number = 0;
    while (isdigit((unsigned char)**at) && *at - start < DIGITS_MAX)
        *number = *number * 10 + (unsigned)(*(*at)++ - '0');
    return *at > start && !isdigit((unsigned char)**at);
}

static bool read_value(const char **at, const struct field *f, unsigned *value)
{
    for (size_t i = 0; i < f->name_count; i++) {
        if (strncasecmp(*at, f->names[i], NAME_LEN) != 0 || isalpha((unsigned char)(*at)[NAME_LEN]))
            continue;
        *at += NAME_LEN;
        *value = f->least + (unsigned)i;
        return true;
    }
    return read_digits(at, value) && *value >= f->least && *value <= f->most;
}

static bool read_item(const char **at, const struct field *f, uint64_t *bits)
{
    unsigned first = f->least, last = f->most, step = 1;
    bool is_one = false;
    if (!accept(at, '*')) {
        if (!read_value(at, f, &first))
            return false;
        is_one = !accept(at, '-');
        if (!is_one && !(read_value(at, f, &last) && first <= last))
            return false;
    }
    bool has_step = accept(at, '/');
    if (has_step && !(read_digits(at, &step) && step >= 1 && step <= f->most))
        return false;
    if (is_one && !has_step)
        last = first;
    for (unsigned v = first; v <= last; v += step)
        *bits |= (uint64_t)1 << v;
    return true;
}

static bool read_field(const char **at, const struct field *f, uint64_t *bits, bool *any)
{
    *bits = 0;
    *any = **at == '*';
    do {
        if (!read_item(at, f, bits))
            return false;
    } while (accept(at, ','));
    return **at == ' ' || **at == '\t' || **at == '\0';
}

static void skip_blanks(const char **at)
{
    while (**at == ' ' || **at == '\t')
        (*at)++;
}

static void take_fields(struct cron *cron, const uint64_t bits[FIELDS], const bool any[FIELDS])
{
    uint64_t sunday = bits[4] >> 7 & 1;
    *cron = (struct cron){.minutes = bits[0],
                          .hours = (uint32_t)bits[1],
                          .days = (uint32_t)bits[2],
                          .months = (uint32_t)bits[3],
                          .weekdays = (uint32_t)((bits[4] | sunday) & 0x7f),
                          .any_hour = any[1],
                          .any_day = any[2],
                          .any_weekday = any[4]};
}

/* 30 February, where no day of the week would do instead. */
static bool never_comes(const struct cron *cron)
{
    static const unsigned lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (!cron->any_day && !cron->any_weekday)
        return false;
    for (unsigned m = 0; m < 12; m++) {
        uint64_t in_month = ((uint64_t)1 << (lengths[m] + 1)) - 1;
        if ((cron->months >> (m + 1) & 1) && (cron->days & in_month))
            return false;
    }
    return true;
}

static const char *expand(const char *text)
{
    for (size_t i = 0; i < sizeof(shorthands) / sizeof(shorthands[0]); i++)
        if (strcasecmp(text, shorthands[i].name) == 0)
            return shorthands[i].text;
    return text;
}

/* Said before a field is looked at: "tomorrow" is no bad minute. */
static bool has_fields(const char *at, char *problem, size_t problem_size)
{
    size_t count = 0;
    for (skip_blanks(&at); *at != '\0'; skip_blanks(&at), count++)
        at += strcspn(at, " \t");
    if (count == FIELDS)
        return true;
    snprintf(problem, problem_size,
             "it has %zu field%s, not five: minute, hour, day of the month, month, day of the week",
             count, count == 1 ? "" : "s");
    return false;
}

bool cron_parse(const char *text, struct cron *cron, char *problem, size_t problem_size)
{
    uint64_t bits[FIELDS];
    bool any[FIELDS];
    const char *at = expand(text);
    if (*at == '@') {
        snprintf(problem, problem_size,
                 "@ goes with hourly, daily, midnight, weekly, monthly, yearly and annually");
        return false;
    }
    if (!has_fields(at, problem, problem_size))
        return false;
    for (size_t i = 0; i < FIELDS; i++) {
        skip_blanks(&at);
        if (!read_field(&at, &fields[i], &bits[i], &any[i])) {
            snprintf(problem, problem_size, "its %s is not made of numbers from %u to %u%s",
                     fields[i].name, fields[i].least, fields[i].most,
                     fields[i].names ? " or names" : "");
            return false;
        }
    }
    take_fields(cron, bits, any);
    if (never_comes(cron)) {
        snprintf(problem, problem_size, "that day never comes");
        return false;
    }
    return true;
}

/* --- the calendar, without any zone: minutes since 1970-01-01 00:00 of the wall clock --- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

struct date {
    int64_t year;
    unsigned month, day; /* from 1 */
};

/* Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March. */
static struct date date_of(int64_t days)
{
    days += 719468;
    int64_t era = floor_div(days, 146097);
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned month = mp < 10 ? mp + 3 : mp - 9;
    return (struct date){(int64_t)yoe + era * 400 + (month <= 2), month,
                         doy - (153 * mp + 2) / 5 + 1};
}

static unsigned month_length(struct date d)
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (d.year % 4 == 0 && d.year % 100 != 0) || d.year % 400 == 0;
    return lengths[d.month - 1] + (d.month == 2 && leap);
}

static bool day_matches(const struct cron *c, int64_t day, struct date d)
{
    unsigned weekday = (unsigned)(day + 4 - 7 * floor_div(day + 4, 7)); /* 1970 began a Thursday */
    bool by_day = c->days >> d.day & 1, by_weekday = c->weekdays >> weekday & 1;
    if (!c->any_day && !c->any_weekday)
        return by_day || by_weekday;
    return by_day && by_weekday;
}

/* The first matching minute of the day from `from` on; DAY_MINUTES: none. */
static unsigned minute_of_day(const struct cron *c, unsigned from)
{
    unsigned minute = from % 60;
    for (unsigned hour = from / 60; hour < 24; hour++, minute = 0) {
        uint64_t left = c->minutes >> minute << minute;
        if ((c->hours >> hour & 1) && left)
            return hour * 60 + (unsigned)__builtin_ctzll(left);
    }
    return DAY_MINUTES;
}

/* The first matching minute of the wall clock from `from` on. */
static int64_t wall_next(const struct cron *c, int64_t from)
{
    int64_t day = floor_div(from, DAY_MINUTES), last = day + YEARS_MAX * 366;
    unsigned start = (unsigned)(from - day * DAY_MINUTES);
    for (; day < last; start = 0) {
        struct date d = date_of(day);
        if (!(c->months >> d.month & 1)) {
            day += month_length(d) - d.day + 1;
            continue;
        }
        unsigned minute = day_matches(c, day, d) ? minute_of_day(c, start) : DAY_MINUTES;
        if (minute < DAY_MINUTES)
            return day * DAY_MINUTES + minute;
        day++;
    }
    return last * DAY_MINUTES; /* cron_parse() lets no such table pass */
}

/* --- the zone --- */

static int64_t offset_at(int64_t t)
{
    struct tm tm;
    time_t time = (time_t)t;
    return localtime_r(&time, &tm) ? tm.tm_gmtoff : 0;
}

/* The first second in (from, to] whose offset is not that of `from`; 0: none. */
static int64_t change_between(int64_t from, int64_t to)
{
    int64_t offset = offset_at(from), end = from;
    while (end < to) {
        from = end;
        end = to - from > DAY_S ? from + DAY_S : to;
        if (offset_at(end) == offset)
            continue;
        while (end - from > 1) {
            int64_t middle = from + (end - from) / 2;
            if (offset_at(middle) == offset)
                from = middle;
            else
                end = middle;
        }
        return end;
    }
    return 0;
}

/* The end of the second of two equal hours, if t lies in it; else t. */
static int64_t after_repeated(int64_t t)
{
    int64_t change = change_between(t - 3 * HOUR_S, t);
    int64_t back = change ? offset_at(change - 1) - offset_at(change) : 0;
    return change && t < change + back ? change + back : t;
}

int64_t cron_next(const struct cron *cron, int64_t after)
{
    int64_t t = (floor_div(after, MINUTE_S) + 1) * MINUTE_S;
    if (!cron->any_hour)
        t = after_repeated(t);
    for (;;) {
        int64_t offset = offset_at(t);
        int64_t match = wall_next(cron, floor_div(t + offset + MINUTE_S - 1, MINUTE_S));
        int64_t found = match * MINUTE_S - offset, change = change_between(t, found);
        if (!change)
            return found;
        int64_t step = offset_at(change) - offset;
        if (step > 0 && !cron->any_hour && found < change + step)
            return change; /* it stood in the hour that is missing */
        t = step < 0 && !cron->any_hour ? change - step : change;
    }
}

/* The highest bit that is set; there is one. */
static unsigned highest(uint64_t bits)
{
    return 63 - (unsigned)__builtin_clzll(bits);
}

/* Of a time that cron_next() found: how many there are from it to the end of its day, itself
 * included; it is moved to the last. 1 where that is not to be told by counting bits: it stood in
 * a missing hour, the clock is changed on the way, or not all of them are wanted. */
static uint64_t rest_of_day(const struct cron *cron, int64_t *at, int64_t to, uint64_t room)
{
    int64_t offset = offset_at(*at), wall = floor_div(*at + offset, MINUTE_S);
    int64_t day = floor_div(wall, DAY_MINUTES);
    int64_t midnight = (day + 1) * DAY_MINUTES * MINUTE_S - offset;
    unsigned minute = (unsigned)(wall - day * DAY_MINUTES);
    uint64_t this_hour = cron->minutes >> minute % 60 << minute % 60;
    uint64_t later = (uint64_t)cron->hours >> minute / 60 >> 1 << 1 << minute / 60;
    uint64_t count =
        (uint64_t)__builtin_popcountll(this_hour) +
        (uint64_t)__builtin_popcountll(later) * (uint64_t)__builtin_popcountll(cron->minutes);
    bool is_of_table = (cron->hours >> minute / 60 & 1) && (cron->minutes >> minute % 60 & 1);
    if (!is_of_table || midnight > to || count > room || change_between(*at, midnight))
        return 1;
    wall = day * DAY_MINUTES + (later ? highest(later) * 60 + highest(cron->minutes)
                                      : minute / 60 * 60 + highest(this_hour));
    *at = wall * MINUTE_S - offset;
    return count;
}

uint64_t cron_advance(const struct cron *cron, int64_t *at, int64_t to, uint64_t most)
{
    uint64_t count = 0;
    while (count < most) {
        int64_t next = cron_next(cron, *at);
        if (next > to)
            break;
        count += rest_of_day(cron, &next, to, most - count);
        *at = next;
    }
    return count;
}
