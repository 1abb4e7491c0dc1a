// SPDX-License-Identifier: Apache-2.0
#include "common/events/event_time.h"

#define US_PER_SECOND 1000000
#define US_PER_DAY    (86400ll * US_PER_SECOND)

/*
 * Days are counted from 0000-03-01, so that the leap day is the last of a year; 400 years have
 * always the same number of days.
 */
enum { DAYS_PER_ERA = 146097, DAYS_TO_1970 = 719468 };

static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static void date_of_days(int64_t days, struct event_date *date)
{
    int64_t shifted = days + DAYS_TO_1970; /* never negative within the bounds */
    int64_t era = shifted / DAYS_PER_ERA;
    int64_t day_of_era = shifted % DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    date->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    date->month = (int)(month < 10 ? month + 3 : month - 9);
    date->year = (int)(year_of_era + era * 400 + (date->month <= 2));
}

struct event_date event_time_date(int64_t time_us)
{
    struct event_date date;
    int64_t days = time_us / US_PER_DAY;
    int64_t us = time_us % US_PER_DAY;
    if (us < 0) {
        us += US_PER_DAY;
        days--;
    }
    date_of_days(days, &date);
    int seconds = (int)(us / US_PER_SECOND);
    date.microsecond = (int)(us % US_PER_SECOND);
    date.hour = seconds / 3600;
    date.minute = seconds / 60 % 60;
    date.second = seconds % 60;
    return date;
}

int64_t event_time_of(const struct event_date *date)
{
    int64_t seconds = days_since_1970(date->year, date->month, date->day) * 86400 +
                      date->hour * 3600 + date->minute * 60 + date->second;
    return seconds * US_PER_SECOND + date->microsecond;
}

static char *put_digits(char *at, int count, int value)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + count;
}

void event_time_text(int64_t time_us, char text[EVENT_TIME_SIZE])
{
    struct event_date date = event_time_date(time_us);
    const struct {
        int value, digits;
        char after;
    } fields[] = {{date.year, 4, '-'},       {date.month, 2, '-'},  {date.day, 2, 'T'},
                  {date.hour, 2, ':'},       {date.minute, 2, ':'}, {date.second, 2, '.'},
                  {date.microsecond, 6, 'Z'}};
    char *at = text;
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        at = put_digits(at, fields[i].digits, fields[i].value);
        *at++ = fields[i].after;
    }
    *at = '\0';
}

/* --- reading --- */

struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *c, const char *any_of)
{
    if (c->at == c->end || *c->at == '\0' || !strchr(any_of, *c->at))
        return false;
    c->at++;
    return true;
}

static bool is_digit(const struct cursor *c)
{
    return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

static bool take_number(struct cursor *c, int digits, int lowest, int highest, int *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++, c->at++) {
        if (!is_digit(c))
            return false;
        *value = *value * 10 + (*c->at - '0');
    }
    return *value >= lowest && *value <= highest;
}

static bool take_fraction(struct cursor *c, int *microsecond)
{
    if (!is_digit(c))
        return false;
    int unit = US_PER_SECOND / 10;
    for (; is_digit(c); c->at++, unit /= 10)
        *microsecond += unit * (*c->at - '0');
    return true;
}

static bool take_date(struct cursor *c, struct event_date *date)
{
    return take_number(c, 4, 1, 9999, &date->year) && take(c, "-") &&
           take_number(c, 2, 1, 12, &date->month) && take(c, "-") &&
           take_number(c, 2, 1, 31, &date->day);
}

static bool take_clock(struct cursor *c, struct event_date *date)
{
    if (!take_number(c, 2, 0, 23, &date->hour) || !take(c, ":") ||
        !take_number(c, 2, 0, 59, &date->minute))
        return false;
    if (!take(c, ":"))
        return true;
    if (!take_number(c, 2, 0, 59, &date->second))
        return false;
    return !take(c, ".,") || take_fraction(c, &date->microsecond);
}

/* HH, HHMM or HH:MM, and after the latter :SS with or without a fraction. */
static bool take_offset(struct cursor *c, int64_t *offset_us)
{
    int hours, minutes = 0, seconds = 0, microseconds = 0;
    if (!take_number(c, 2, 0, 23, &hours))
        return false;
    bool colon = take(c, ":");
    if ((colon || is_digit(c)) && !take_number(c, 2, 0, 59, &minutes))
        return false;
    if (colon && take(c, ":") &&
        (!take_number(c, 2, 0, 59, &seconds) || (take(c, ".") && !take_fraction(c, &microseconds))))
        return false;
    *offset_us = (hours * 3600ll + minutes * 60ll + seconds) * US_PER_SECOND + microseconds;
    return true;
}

static bool take_zone(struct cursor *c, int64_t *offset_us)
{
    *offset_us = 0;
    if (take(c, "Zz"))
        return true;
    if (take(c, "+"))
        return take_offset(c, offset_us);
    if (!take(c, "-") || !take_offset(c, offset_us))
        return false;
    *offset_us = -*offset_us;
    return true;
}

/* The 31st of February is read as a day of March: written again, it differs. */
static bool day_exists(const struct event_date *date, int64_t time_us)
{
    struct event_date again = event_time_date(time_us);
    return again.day == date->day && again.month == date->month;
}

bool event_time_parse(struct span text, int64_t *time_us)
{
    struct cursor c = {text.data, text.data + text.len};
    struct event_date date = {0};
    int64_t offset;
    if (!take_date(&c, &date) || !take(&c, "Tt ") || !take_clock(&c, &date) ||
        !take_zone(&c, &offset) || c.at != c.end)
        return false;
    *time_us = event_time_of(&date);
    if (!day_exists(&date, *time_us))
        return false;
    *time_us -= offset;
    return *time_us >= EVENT_TIME_MIN && *time_us <= EVENT_TIME_MAX;
}
