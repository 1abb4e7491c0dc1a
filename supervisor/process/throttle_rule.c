// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/throttle_rule.h"

#include <stdbool.h>
#include <string.h>

static const struct {
    const char *name;
    uint64_t enough; /* in one window */
    uint64_t calm_ns;
} reasons[THROTTLE_REASONS] = {
    [THROTTLE_NONE] = {"", UINT64_MAX, 0},
    [THROTTLE_PROCESSES] = {"processes", THROTTLE_REFUSALS, THROTTLE_CALM_NS},
    [THROTTLE_OUTPUT] = {"output", THROTTLE_DROPS, THROTTLE_CALM_NS},
    [THROTTLE_MEMORY] = {"memory", THROTTLE_DEATHS, THROTTLE_MEMORY_CALM_NS},
    [THROTTLE_KILLED] = {"memory", THROTTLE_KILLS, THROTTLE_MEMORY_CALM_NS},
};

const char *throttle_reason_name(enum throttle_reason reason)
{
    return reasons[reason].name;
}

/* What was counted since the look before belongs to the window that this look is in. */
static void roll_window(struct throttle_rule *rule, uint64_t now_ns)
{
    if (now_ns - rule->window_ns < THROTTLE_WINDOW_NS)
        return;
    rule->window_ns = now_ns;
    memcpy(rule->before, rule->seen, sizeof(rule->before));
}

static bool take_counts(struct throttle_rule *rule, const struct throttle_seen *seen)
{
    bool has_grown = false;
    for (int i = 0; i < THROTTLE_REASONS; i++)
        if (seen->counts[i] > rule->seen[i]) {
            rule->seen[i] = seen->counts[i];
            has_grown = true;
        }
    return has_grown;
}

static enum throttle_reason enough_of(const struct throttle_rule *rule)
{
    for (int i = 0; i < THROTTLE_REASONS; i++)
        if (rule->seen[i] - rule->before[i] >= reasons[i].enough)
            return (enum throttle_reason)i;
    return THROTTLE_NONE;
}

/* One that went on again soon after its end has to be calm for twice as long. */
static uint64_t calm_of(const struct throttle_rule *rule, enum throttle_reason reason,
                        uint64_t now_ns)
{
    bool is_again = rule->ended_ns && now_ns - rule->ended_ns < THROTTLE_AGAIN_NS;
    uint64_t calm_ns = is_again ? 2 * rule->calm_ns : 0;
    if (calm_ns > THROTTLE_CALM_MAX_NS)
        calm_ns = THROTTLE_CALM_MAX_NS;
    return calm_ns > reasons[reason].calm_ns ? calm_ns : reasons[reason].calm_ns;
}

enum throttle_step throttle_rule_step(struct throttle_rule *rule, const struct throttle_seen *seen)
{
    roll_window(rule, seen->now_ns);
    if (take_counts(rule, seen))
        rule->trouble_ns = seen->now_ns;
    if (rule->reason) {
        if (seen->percent && seen->now_ns - rule->trouble_ns < rule->calm_ns)
            return THROTTLE_KEEP;
        rule->reason = THROTTLE_NONE;
        rule->ended_ns = seen->now_ns;
        return THROTTLE_END;
    }
    enum throttle_reason reason = seen->percent ? enough_of(rule) : THROTTLE_NONE;
    if (!reason)
        return THROTTLE_KEEP;
    rule->calm_ns = calm_of(rule, reason, seen->now_ns);
    rule->reason = reason;
    rule->since_ns = seen->now_ns;
    return THROTTLE_BEGIN;
}
