// SPDX-License-Identifier: Apache-2.0
#include "common/time_text.h"

#include <time.h>

#define US      1000000ull
#define LAST_US (253402300800ull * US) /* the year 10000 */

struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *c, char expected)
{
    if (c->at == c->end || *c->at != expected)
        return false;
    c->at++;
    return true;
}

static bool take_digits(struct cursor *c, int count, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, c->at++) {
        if (c->at == c->end || *c->at < '0' || *c->at > '9')
            return false;
        *value = *value * 10 + (*c->at - '0');
    }
    return true;
}

/* ".123…" to microseconds, more digits cut off; without a point 0. */
static bool take_fraction(struct cursor *c, uint64_t *us)
{
    uint64_t unit = US;
    *us = 0;
    if (!take(c, '.'))
        return true;
    const char *start = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        unit /= 10;
        *us += unit * (uint64_t)(*c->at - '0');
    }
    return c->at > start;
}

static bool parse_seconds(struct cursor c, uint64_t *us)
{
    uint64_t seconds = 0, fraction;
    const char *start = c.at;
    for (; c.at < c.end && *c.at >= '0' && *c.at <= '9' && seconds < LAST_US / US; c.at++)
        seconds = seconds * 10 + (uint64_t)(*c.at - '0');
    if (c.at == start || !take_fraction(&c, &fraction) || c.at != c.end)
        return false;
    *us = seconds * US + fraction;
    return *us < LAST_US;
}

/* [T19:30[:00[.123]]] */
static bool take_clock(struct cursor *c, struct tm *tm, uint64_t *fraction)
{
    *fraction = 0;
    if (c->at == c->end)
        return true;
    if (!take(c, 'T') && !take(c, ' ') && !take(c, 't'))
        return false;
    if (!take_digits(c, 2, &tm->tm_hour) || !take(c, ':') || !take_digits(c, 2, &tm->tm_min))
        return false;
    if (!take(c, ':'))
        return true;
    return take_digits(c, 2, &tm->tm_sec) && take_fraction(c, fraction);
}

static bool take_zone(struct cursor *c, long *offset)
{
    int hours, minutes;
    *offset = 0;
    if (c->at == c->end || take(c, 'Z') || take(c, 'z'))
        return true;
    long sign = *c->at == '-' ? -1 : 1;
    if (!take(c, '+') && !take(c, '-') && !take(c, ' '))
        return false;
    if (!take_digits(c, 2, &hours))
        return false;
    take(c, ':');
    if (!take_digits(c, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *offset = sign * (hours * 3600L + minutes * 60L);
    return true;
}

static bool in_range(const struct tm *tm)
{
    return tm->tm_mon >= 1 && tm->tm_mon <= 12 && tm->tm_mday >= 1 && tm->tm_mday <= 31 &&
           tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 59;
}

static bool parse_iso(struct cursor c, uint64_t *us)
{
    struct tm tm = {0};
    uint64_t fraction;
    long offset;
    if (!take_digits(&c, 4, &tm.tm_year) || !take(&c, '-') || !take_digits(&c, 2, &tm.tm_mon) ||
        !take(&c, '-') || !take_digits(&c, 2, &tm.tm_mday))
        return false;
    if (!take_clock(&c, &tm, &fraction) || !take_zone(&c, &offset) || c.at != c.end ||
        !in_range(&tm))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int day = tm.tm_mday;
    long long seconds = (long long)timegm(&tm) - offset;
    if (tm.tm_mday != day) /* there is no 31 April */
        return false;
    if (seconds < 0 || (uint64_t)seconds >= LAST_US / US)
        return false;
    *us = (uint64_t)seconds * US + fraction;
    return true;
}

bool time_text_parse(const char *text, size_t len, uint64_t *us)
{
    if (len == 0)
        return false;
    struct cursor c = {text, text + len};
    return parse_seconds(c, us) || parse_iso(c, us);
}
