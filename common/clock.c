// SPDX-License-Identifier: Apache-2.0
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t clock_mono_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

uint64_t hlc_next(struct hlc *clock)
{
    uint64_t now = clock_wall_us();
    clock->last = now > clock->last ? now : clock->last + 1;
    return clock->last;
}

void hlc_observe(struct hlc *clock, uint64_t stamp)
{
    if (stamp > clock->last)
        clock->last = stamp;
}

void clock_iso(uint64_t wall_us, char out[CLOCK_ISO_SIZE])
{
    time_t seconds = (time_t)(wall_us / US_PER_S);
    struct tm utc;
    char date[24];
    gmtime_r(&seconds, &utc);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out, CLOCK_ISO_SIZE, "%.19s.%06uZ", date, (unsigned)(wall_us % US_PER_S));
}
