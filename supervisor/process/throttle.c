// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/throttle.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "common/log.h"
#include "supervisor/metric.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/source.h"
#include "supervisor/process/sweeper.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_NS  (250 * NS_PER_MS) /* at one that is throttled */
#define PAUSE_NS (1 * NS_PER_S) /* in which stacks are dumped and, mostly, their process killed */
enum {
    LOOK_DROPS = THROTTLE_DROPS / 10, /* a look costs more than to drop a line */
    OUTPUT_PART = 10,                 /* little enough to be filled with 1 % of a processor */
};

static struct {
    uint64_t begun;
    uint64_t now;
} total;

void throttle_init(struct throttle *t)
{
    t->refused_fd = -1;
}

static const struct cgroups *groups_of(const struct worker *w)
{
    return families_groups(w->station->families);
}

static void name_of(const struct worker *w, char name[CGROUP_NAME_SIZE])
{
    sweeper_group_name(name, w->station->boot, w->ref.generation);
}

/*
 * One that fills its memory also yields to everybody. One that forks does not: it would wait for a
 * processor with locks of the kernel in its hands.
 */
static int hold(const struct worker *w, uint64_t percent)
{
    char name[CGROUP_NAME_SIZE];
    name_of(w, name);
    int err = cgroup_limit_cpu(groups_of(w), name, percent);
    if (!err && w->family.throttle.rule.reason == THROTTLE_MEMORY)
        err = cgroup_idle_cpu(groups_of(w), name, true);
    return err;
}

static int release(const struct worker *w)
{
    char name[CGROUP_NAME_SIZE];
    name_of(w, name);
    int err = cgroup_idle_cpu(groups_of(w), name, false);
    int err_of_quota = cgroup_limit_cpu(groups_of(w), name, 0);
    return err ? err : err_of_quota;
}

/* --- begin and end --- */

static void on_time(void *arg);

static void say_begin(const struct worker *w)
{
    const struct throttle *t = &w->family.throttle;
    char why[128];
    switch (t->rule.reason) {
    case THROTTLE_PROCESSES:
        snprintf(why, sizeof(why), "it goes on forking beyond limits.processes = %u",
                 w->family.limits.processes);
        break;
    case THROTTLE_OUTPUT:
        snprintf(why, sizeof(why), "it goes on printing beyond log.object_lines_per_s = %llu",
                 (unsigned long long)w->station->config.object_lines_per_s);
        break;
    case THROTTLE_KILLED:
        snprintf(why, sizeof(why), "its processes go on being killed: limits.memory_mb = %u",
                 w->family.limits.memory_mb);
        break;
    default:
        snprintf(why, sizeof(why), "it runs out of memory again and again: limits.memory_mb = %u",
                 w->family.limits.memory_mb);
    }
    log_warn("%s is throttled to %llu %% of a processor: %s", w->object->id,
             (unsigned long long)t->percent, why);
    object_note(w->object, "WARNING", "throttled to %llu %% of a processor: %s",
                (unsigned long long)t->percent, why);
}

static void begin(struct worker *w, uint64_t percent)
{
    struct throttle *t = &w->family.throttle;
    int err = hold(w, percent);
    if (err) {
        log_warn("%s cannot be throttled: %s", w->object->id, strerror(-err));
        release(w); /* it would fail as this did */
        t->rule = (struct throttle_rule){0};
        t->is_over = true;
        return;
    }
    t->percent = percent;
    total.begun++;
    total.now++;
    loop_timer_set(w->station->loop, &t->timer, LOOK_NS, on_time, w);
    say_begin(w);
}

static void lift(struct worker *w)
{
    int err = release(w);
    total.now--;
    loop_timer_cancel(&w->family.throttle.timer);
    if (err && err != -ENOENT)
        log_warn("%s stays throttled: %s", w->object->id, strerror(-err));
}

static void say_end(const struct worker *w)
{
    double seconds = (double)(clock_mono_ns() - w->family.throttle.rule.since_ns) / 1e9;
    log_info("%s is not throttled any more, after %.1f s", w->object->id, seconds);
    object_note(w->object, "INFO", "not throttled any more, after %.1f s", seconds);
}

/* --- looks --- */

static uint64_t refused(struct worker *w)
{
    struct throttle *t = &w->family.throttle;
    char name[CGROUP_NAME_SIZE];
    if (!t->has_looked) {
        t->has_looked = true;
        name_of(w, name);
        t->refused_fd = cgroup_refused_open(groups_of(w), name);
    }
    return t->refused_fd < 0 ? 0 : cgroup_refused(t->refused_fd);
}

void throttle_look(struct worker *w)
{
    struct throttle *t = &w->family.throttle;
    if (t->is_over || !w->family.has_group || !cgroup_root_of(groups_of(w), CGROUP_CPU))
        return;
    uint64_t now_ns = clock_mono_ns();
    if (now_ns < t->paused_until_ns)
        return;
    struct throttle_seen seen = {
        .now_ns = now_ns,
        .percent = w->station->config.throttled_cpu,
        .counts = {[THROTTLE_PROCESSES] = refused(w),
                   [THROTTLE_OUTPUT] = t->output,
                   [THROTTLE_MEMORY] = t->serves ? t->deaths : 0,
                   [THROTTLE_KILLED] = w->family.kills.counted},
    };
    switch (throttle_rule_step(&t->rule, &seen)) {
    case THROTTLE_KEEP:
        break;
    case THROTTLE_BEGIN:
        begin(w, seen.percent);
        break;
    case THROTTLE_END:
        lift(w);
        say_end(w);
    }
}

static void on_time(void *arg)
{
    struct worker *w = arg;
    loop_timer_set(w->station->loop, &w->family.throttle.timer, LOOK_NS, on_time, w);
    throttle_look(w);
}

void throttle_dropped(struct worker *w, uint64_t lines)
{
    struct throttle *t = &w->family.throttle;
    t->output += lines;
    if (!t->rule.reason && t->output - t->rule.seen[THROTTLE_OUTPUT] >= LOOK_DROPS)
        throttle_look(w);
}

void throttle_waits(struct worker *w, uint64_t wait_ns)
{
    struct throttle *t = &w->family.throttle;
    if (t->rule.reason != THROTTLE_OUTPUT)
        return;
    t->waited_ns += wait_ns;
    t->output += t->waited_ns / NS_PER_S;
    t->waited_ns %= NS_PER_S;
}

/* Only of the source that it runs: another one is not to blame. */
void throttle_born(struct worker *w)
{
    const struct object *o = w->object;
    bool is_same = o->accepted && !w->is_test &&
                   memcmp(&o->accepted->hash, &w->source_hash, sizeof(w->source_hash)) == 0;
    w->family.throttle.deaths = is_same ? outage_memory_deaths(o->outage) : 0;
}

void throttle_serves(struct worker *w)
{
    struct throttle *t = &w->family.throttle;
    t->serves = true;
    if (t->deaths)
        throttle_look(w);
}

static bool stop(struct worker *w)
{
    struct throttle_rule *rule = &w->family.throttle.rule;
    if (!rule->reason)
        return false;
    rule->reason = THROTTLE_NONE;
    lift(w);
    return true;
}

void throttle_pause(struct worker *w)
{
    w->family.throttle.paused_until_ns = clock_mono_ns() + PAUSE_NS;
    if (stop(w))
        say_end(w);
}

void throttle_end(struct worker *w)
{
    struct throttle *t = &w->family.throttle;
    t->is_over = true;
    if (t->refused_fd >= 0)
        close(t->refused_fd);
    t->refused_fd = -1;
    stop(w);
}

uint64_t throttle_output_max(const struct worker *w)
{
    uint64_t most = w->station->config.log_output_max;
    return w->family.throttle.rule.reason ? most / OUTPUT_PART : most;
}

/* --- what is said --- */

bool throttle_is_possible(const struct station *station)
{
    return station->config.throttled_cpu &&
           cgroup_root_of(families_groups(station->families), CGROUP_CPU);
}

void throttle_put(const struct worker *w, struct buf *json)
{
    const struct throttle *t = &w->family.throttle;
    if (!t->rule.reason) {
        buf_puts(json, "null");
        return;
    }
    buf_putc(json, '{');
    json_put_member(json, "reason", throttle_reason_name(t->rule.reason));
    json_put_number(json, "cpu_percent", t->percent);
    json_put_key(json, "seconds");
    buf_printf(json, "%.1f}", (double)(clock_mono_ns() - t->rule.since_ns) / 1e9);
}

void throttle_metrics(struct buf *text)
{
    metric_gauge(text, "throttled_workers", "Workers that are throttled now.", (double)total.now);
    metric_counter(text, "throttles_total", "Workers that ran into a limit without end.",
                   total.begun);
}
