// SPDX-License-Identifier: Apache-2.0
/*
 * clock - the three clocks of a station.
 *
 * Monotonic time (nanoseconds) measures and schedules; wall time (microseconds since 1970) is shown
 * to people; the hybrid logical clock stamps records: wall time in microseconds, moved on by one
 * where the wall clock did not advance (Kulkarni et al., "Logical Physical Clocks", 2014, with the
 * logical part folded into the low digits). One thread.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull
#define US_PER_S  1000000ull

uint64_t clock_mono_ns(void);
uint64_t clock_wall_us(void);

struct hlc {
    uint64_t last; /* microseconds since 1970 */
};

/* The next stamp: later than every earlier one and than every stamp observed. */
uint64_t hlc_next(struct hlc *clock);
/* Makes the clock run past a stamp that was read (recovery, a peer). */
void hlc_observe(struct hlc *clock, uint64_t stamp);

enum { CLOCK_ISO_SIZE = 28 };
/* "2026-11-21T19:30:00.123456Z" into out. */
void clock_iso(uint64_t wall_us, char out[CLOCK_ISO_SIZE]);

#endif
