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
/*
 * The same, where a clock that was set back may show times again that have come: nothing before
 * `ran_us`, when it ran last, comes again if that was at most WHEN_AGAIN_S ago, or
 * WHEN_AGAIN_TABLE_S for a table with an hour of its own. Of an interval `ran_us` is one of its
 * times.
 */
#define WHEN_AGAIN_S       60
#define WHEN_AGAIN_TABLE_S (3 * 3600)
int64_t when_next_after(const struct when *when, int64_t ran_us, int64_t now_us);
/*
 * Where `next_us` goes when the clock is set by `by_us`, to `now_us`: an interval is time that
 * passes, whatever the clock says; a time table is what the clock says.
 */
int64_t when_step(const struct when *when, int64_t next_us, int64_t ran_us, int64_t by_us,
                  int64_t now_us);
/* How many of its times lie in (*at_us, to_us], counted up to `most`; *at_us, which is one of them,
 * is moved to the last one counted. */
uint64_t when_advance(const struct when *when, int64_t *at_us, int64_t to_us, uint64_t most);
const char *when_kind_name(enum when_kind kind);

#endif
