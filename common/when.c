// SPDX-License-Identifier: Apache-2.0
#include "common/when.h"

#include "common/time_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define US 1000000

static bool parse_seconds(const char *text, struct when *when, char *problem, size_t size)
{
    char *end;
    double seconds = strtod(text, &end);
    if (*end != '\0' || !(seconds >= WHEN_LEAST_S && seconds <= WHEN_MOST_S)) {
        snprintf(problem, size, "an interval is from %g to %.0f seconds", WHEN_LEAST_S,
                 WHEN_MOST_S);
        return false;
    }
    when->kind = WHEN_EVERY;
    when->every_us = (int64_t)(seconds * US + 0.5);
    return true;
}

/* "…Z", "…+01:00", "…-0100": behind the time of day, where a minus is none of the date's. */
static bool has_zone(const char *text)
{
    const char *clock = strchr(text, ':');
    return clock && strpbrk(clock, "Zz+-");
}

/* As local time, what was read as UTC. Where clocks are put forward mktime() goes on past the gap.
 */
static int64_t as_local(uint64_t us)
{
    time_t seconds = (time_t)(us / US);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    tm.tm_isdst = -1;
    return (int64_t)mktime(&tm) * US + (int64_t)(us % US);
}

static bool looks_like_date(const char *text)
{
    for (int i = 0; i < 4; i++)
        if (!isdigit((unsigned char)text[i]))
            return false;
    return text[4] == '-';
}

static bool parse_once(const char *text, struct when *when, char *problem, size_t size)
{
    uint64_t us;
    if (!time_text_parse(text, strlen(text), &us)) {
        snprintf(problem, size, "a time is written as 2026-11-22T10:00:00, with an optional zone");
        return false;
    }
    when->kind = WHEN_ONCE;
    when->once_us = has_zone(text) ? (int64_t)us : as_local(us);
    return true;
}

static bool is_number(const char *text)
{
    return *text != '\0' && text[strspn(text, "0123456789.eE+-")] == '\0';
}

bool when_parse(const char *text, struct when *when, char *problem, size_t problem_size)
{
    *when = (struct when){0};
    if (strlen(text) > WHEN_TEXT_MAX) {
        snprintf(problem, problem_size, "it is longer than %d bytes", WHEN_TEXT_MAX);
        return false;
    }
    if (looks_like_date(text))
        return parse_once(text, when, problem, problem_size);
    if (is_number(text))
        return parse_seconds(text, when, problem, problem_size);
    when->kind = WHEN_CRON;
    return cron_parse(text, &when->cron, problem, problem_size);
}

int64_t when_next(const struct when *when, int64_t phase_us, int64_t now_us)
{
    switch (when->kind) {
    case WHEN_EVERY:
        if (now_us < phase_us)
            return phase_us - (phase_us - now_us - 1) / when->every_us * when->every_us;
        return phase_us + ((now_us - phase_us) / when->every_us + 1) * when->every_us;
    case WHEN_CRON:
        return cron_next(&when->cron, now_us / US) * US;
    default:
        return when->once_us > now_us ? when->once_us : WHEN_NEVER;
    }
}

int64_t when_next_after(const struct when *when, int64_t ran_us, int64_t now_us)
{
    int64_t again_us = (when->cron.any_hour ? WHEN_AGAIN_S : WHEN_AGAIN_TABLE_S) * (int64_t)US;
    bool is_past = when->kind == WHEN_CRON && ran_us > now_us && ran_us - now_us <= again_us;
    return when_next(when, ran_us, is_past ? ran_us : now_us);
}

int64_t when_step(const struct when *when, int64_t next_us, int64_t ran_us, int64_t by_us,
                  int64_t now_us)
{
    if (when->kind == WHEN_EVERY)
        return next_us + by_us;
    if (when->kind == WHEN_ONCE || by_us > 0)
        return next_us;
    int64_t next = when_next_after(when, ran_us, now_us);
    return next < next_us ? next : next_us;
}

static uint64_t intervals(int64_t every_us, int64_t *at_us, int64_t to_us, uint64_t most)
{
    uint64_t count = to_us > *at_us ? (uint64_t)((to_us - *at_us) / every_us) : 0;
    if (count > most)
        count = most;
    *at_us += (int64_t)count * every_us;
    return count;
}

uint64_t when_advance(const struct when *when, int64_t *at_us, int64_t to_us, uint64_t most)
{
    int64_t at = *at_us / US;
    uint64_t count;
    switch (when->kind) {
    case WHEN_EVERY:
        return intervals(when->every_us, at_us, to_us, most);
    case WHEN_CRON:
        count = cron_advance(&when->cron, &at, to_us / US, most);
        if (count)
            *at_us = at * US;
        return count;
    default:
        if (most == 0 || when->once_us <= *at_us || when->once_us > to_us)
            return 0;
        *at_us = when->once_us;
        return 1;
    }
}

const char *when_kind_name(enum when_kind kind)
{
    static const char *const names[] = {
        [WHEN_EVERY] = "interval", [WHEN_CRON] = "cron", [WHEN_ONCE] = "once"};
    return names[kind];
}
