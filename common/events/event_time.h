// SPDX-License-Identifier: Apache-2.0
/*
 * event_time - the time of an event: microseconds since 1970 in UTC, from the year 1 to 9999, as a
 * calendar date and as ISO 8601 text. The calendar is the proleptic Gregorian one. Pure.
 */
#ifndef COMMON_EVENTS_EVENT_TIME_H
#define COMMON_EVENTS_EVENT_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/codec.h"

#define EVENT_TIME_MIN (-62135596800000000) /* 0001-01-01T00:00:00.000000Z */
#define EVENT_TIME_MAX 253402300799999999   /* 9999-12-31T23:59:59.999999Z */

enum { EVENT_TIME_SIZE = 28 /* of a text with its NUL */ };

struct event_date {
    int year, month, day, hour, minute, second, microsecond; /* month and day from 1 */
};

/* time_us within the bounds above. */
struct event_date event_time_date(int64_t time_us);
/* The date as UTC; each field within its range (a day that the month does not have runs over). */
int64_t event_time_of(const struct event_date *date);

/* "2026-11-22T05:30:00.123456Z" and a NUL. */
void event_time_text(int64_t time_us, char text[EVENT_TIME_SIZE]);
/*
 * "2026-11-22T05:30[:00[.123456]]" and a zone, "Z" or "+01:00[:00[.123456]]" or "+0100" or "+01"; a
 * small letter or a space may stand for the T, a comma for the point; digits after the sixth are
 * cut off. False for anything else: no zone, a day that does not exist, a time out of the bounds.
 */
bool event_time_parse(struct span text, int64_t *time_us);

#endif
