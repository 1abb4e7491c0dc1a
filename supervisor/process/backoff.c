// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/backoff.h"

#include "common/clock.h"

#include <sys/random.h>

void backoff_count(struct backoff *b, uint64_t lived_ns)
{
    if (lived_ns >= BACKOFF_STABLE_NS)
        b->deaths = 0;
    b->deaths++;
}

void backoff_reset(struct backoff *b)
{
    b->deaths = 0;
}

uint64_t backoff_delay(const struct backoff *b, uint32_t jitter)
{
    if (b->deaths == 0)
        return 0;
    uint64_t delay = BACKOFF_FIRST_NS;
    for (unsigned i = 1; i < b->deaths && delay < BACKOFF_LAST_NS; i++)
        delay *= 2;
    if (delay > BACKOFF_LAST_NS)
        delay = BACKOFF_LAST_NS;
    uint64_t quarter = delay / 4;
    uint64_t jittered = delay - quarter + jitter % (2 * quarter + 1);
    return jittered > BACKOFF_LAST_NS ? BACKOFF_LAST_NS : jittered;
}

uint32_t backoff_jitter(void)
{
    uint32_t value = 0;
    if (getrandom(&value, sizeof(value), 0) != sizeof(value))
        value = (uint32_t)clock_mono_ns();
    return value;
}
