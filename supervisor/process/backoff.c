// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/backoff.h"

#include "common/clock.h"

#include <sys/random.h>

enum { FAILURES_MAX = 1000000 /* far beyond the last delay */ };

static void count(struct backoff *b, uint64_t now_ns, unsigned failures)
{
    b->newest_ns = now_ns;
    b->failures = failures < FAILURES_MAX ? failures : FAILURES_MAX;
}

void backoff_died(struct backoff *b, uint64_t now_ns, uint64_t lived_ns)
{
    count(b, now_ns, lived_ns >= BACKOFF_STABLE_NS ? 1 : b->failures + 1);
}

void backoff_failed(struct backoff *b, uint64_t now_ns)
{
    count(b, now_ns, (b->failures ? b->failures : 1) + 1);
}

void backoff_reset(struct backoff *b)
{
    *b = (struct backoff){0};
}

static uint64_t nominal(unsigned failures)
{
    uint64_t delay = BACKOFF_FIRST_NS;
    if (failures < 2)
        return 0;
    for (unsigned i = 2; i < failures && delay < BACKOFF_LAST_NS; i++)
        delay *= 2;
    return delay < BACKOFF_LAST_NS ? delay : BACKOFF_LAST_NS;
}

uint64_t backoff_delay(const struct backoff *b, uint64_t now_ns, uint32_t jitter)
{
    uint64_t delay = nominal(b->failures), quarter = delay / 4;
    uint64_t jittered = delay - quarter + jitter % (2 * quarter + 1);
    uint64_t until_ns = b->newest_ns + (jittered < BACKOFF_LAST_NS ? jittered : BACKOFF_LAST_NS);
    return until_ns > now_ns ? until_ns - now_ns : 0;
}

uint32_t backoff_jitter(void)
{
    uint32_t value = 0;
    if (getrandom(&value, sizeof(value), 0) != sizeof(value))
        value = (uint32_t)clock_mono_ns();
    return value;
}
