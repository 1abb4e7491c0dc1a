// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/outage.h"

#include "common/clock.h"
#include "common/json_text.h"

#include <stdio.h>

static void begin(struct outage *outage, const char *reason, const char *crash_id)
{
    outage->lasts = true;
    snprintf(outage->reason, sizeof(outage->reason), "%s", reason);
    snprintf(outage->crash_id, sizeof(outage->crash_id), "%s", crash_id);
}

void outage_count(struct outage *outage, uint64_t lived_ns, bool by_memory)
{
    bool is_first = lived_ns >= BACKOFF_STABLE_NS;
    outage->memory_deaths = by_memory ? 1 + (is_first ? 0 : outage->memory_deaths) : 0;
    outage->died_ns = clock_mono_ns();
}

unsigned outage_memory_deaths(const struct outage *outage)
{
    bool is_over = clock_mono_ns() - outage->died_ns >= BACKOFF_STABLE_NS;
    return is_over ? 0 : outage->memory_deaths;
}

void outage_forget_memory(struct outage *outage)
{
    outage->memory_deaths = 0;
}

void outage_died(struct outage *outage, uint64_t lived_ns, bool by_memory, const char *reason,
                 const char *crash_id)
{
    backoff_died(&outage->backoff, clock_mono_ns(), lived_ns);
    outage_count(outage, lived_ns, by_memory);
    begin(outage, reason, crash_id);
}

void outage_failed(struct outage *outage, const char *reason, const char *crash_id)
{
    backoff_failed(&outage->backoff, clock_mono_ns());
    begin(outage, reason, crash_id);
}

uint64_t outage_wait(struct outage *outage)
{
    uint64_t now_ns = clock_mono_ns();
    uint64_t delay_ns = backoff_delay(&outage->backoff, now_ns, backoff_jitter());
    outage->retry_ns = now_ns + delay_ns;
    return delay_ns;
}

uint64_t outage_left(const struct outage *outage)
{
    uint64_t now_ns = clock_mono_ns();
    return outage->retry_ns > now_ns ? outage->retry_ns - now_ns : 0;
}

void outage_proven(struct outage *outage)
{
    outage->lasts = false;
}

void outage_forget(struct outage *outage)
{
    *outage = (struct outage){0};
}

void outage_put(struct buf *json, const struct outage *outage)
{
    char when[CLOCK_ISO_SIZE];
    uint64_t left_ns = outage_left(outage);
    clock_iso(clock_wall_us() + left_ns / 1000, when);
    buf_putc(json, '{');
    json_put_member(json, "reason", outage->reason);
    if (outage->crash_id[0])
        json_put_member(json, "crash_id", outage->crash_id);
    json_put_number(json, "failures", outage->backoff.failures);
    json_put_member(json, "next_attempt", when);
    json_put_key(json, "next_attempt_seconds");
    buf_printf(json, "%.3f}", (double)left_ns / 1e9);
}
