// SPDX-License-Identifier: Apache-2.0
/*
 * when - at which times a schedule runs: every so many seconds, by a time table, or once.
 *
 * The text of each tells its kind: "30" or "0.5" (seconds), "2026-11-22T10:00:00Z" (once, ISO 8601;
 * without a zone local time), everything else a time table of cron.h. Pure but for the zone.
 */
#ifndef COMMON_WHEN_H
#define COMMON_WHEN_H

#include "common/cron.h"

enum when_kind { WHEN_EVERY, WHEN_CRON, WHEN_ONCE };

struct when {
    enum when_kind kind;
    int64_t every_us;
    struct cron cron;
    int64_t once_us; /* since 1970 */
};

enum { WHEN_TEXT_MAX = 256, WHEN_PROBLEM_SIZE = 256, WHEN_NEVER = 0 };
#define WHEN_LEAST_S 0.01
#define WHEN_MOST_S  31536000.0

/* False and a line for people. */
bool when_parse(const char *text, struct when *when, char *problem, size_t problem_size);
/*
 * The first time after `now_us`; of an interval, of the times that lie whole intervals from
 * `phase_us`. WHEN_NEVER: one run, whose time is not after that.
 */
int64_t when_next(const struct when *when, int64_t phase_us, int64_t now_us);
/* How many of its times lie in (*at_us, to_us], counted up to `most`; *at_us, which is one of them,
 * is moved to the last one counted. */
uint64_t when_advance(const struct when *when, int64_t *at_us, int64_t to_us, uint64_t most);
const char *when_kind_name(enum when_kind kind);

#endif
