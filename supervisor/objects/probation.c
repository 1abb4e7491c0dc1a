// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/probation.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "common/log.h"
#include "supervisor/objects/deploy.h"
#include "supervisor/objects/object.h"
#include "supervisor/station.h"

#include <stdio.h>
#include <string.h>

enum { DEATHS_ENOUGH = 3 /* one that dies at each call is seen long before it has had many */ };

static uint64_t rollbacks;

/* --- counting --- */

static void shift(struct probation *p, uint64_t now, uint64_t span)
{
    if (now - p->span_ns < span)
        return;
    bool is_adjacent = now - p->span_ns < 2 * span;
    p->last = is_adjacent ? p->now : (struct probation_tally){0};
    p->now = (struct probation_tally){0};
    p->span_ns = now;
}

static struct probation_tally both(const struct probation *p)
{
    return (struct probation_tally){p->now.calls + p->last.calls,
                                    p->now.failures + p->last.failures};
}

static bool is_watched(const struct object *o)
{
    const struct probation *p = o->probation;
    return p->version && p->version == o->version &&
           loop_now(o->station->loop) - p->since_ns < o->station->config.rollback_window_ns;
}

/* Less than twice what the version before did: going back would not help. */
static bool was_as_bad(const struct probation *p, struct probation_tally t)
{
    return p->before.failures * 2 * t.calls > t.failures * p->before.calls;
}

static bool has_failed(const struct object *o)
{
    const struct config *c = &o->station->config;
    const struct probation *p = o->probation;
    struct probation_tally t = both(p);
    bool is_enough = t.calls >= c->rollback_calls || p->deaths >= DEATHS_ENOUGH;
    return is_enough && t.failures > 0 && t.failures * 100 >= t.calls * c->rollback_errors &&
           !was_as_bad(p, t);
}

/* --- the way back --- */

static void on_done(void *arg, struct object *o, const struct deploy_result *result)
{
    (void)arg;
    struct probation *p = o->probation;
    if (result->outcome != DEPLOY_SERVES) {
        object_note(o, "ERROR", "not rolled back: %s", result->message);
        log_warn("object %s is not rolled back: %s", o->id, result->message);
        return;
    }
    rollbacks++;
    p->to = result->version;
    p->wall_us = clock_wall_us();
    object_note(o, "ERROR", "rolled back: %s", p->reason);
    log_warn("object %s is rolled back as version %llu: %s", o->id,
             (unsigned long long)result->version, p->reason);
}

static void describe(struct object *o)
{
    struct probation *p = o->probation;
    struct probation_tally t = both(p);
    double seconds = (double)(loop_now(o->station->loop) - p->since_ns) / 1e9;
    snprintf(p->reason, sizeof(p->reason),
             "%llu of %llu calls failed in the first %.1f s of version %llu",
             (unsigned long long)t.failures, (unsigned long long)t.calls, seconds,
             (unsigned long long)p->version);
}

static void on_failed(void *arg)
{
    struct object *o = arg;
    struct probation *p = o->probation;
    int err;
    if (p->version != o->history.accepted || o->history.previous == 0)
        return; /* something newer is on its way, or there is nothing to go back to */
    describe(o);
    p->from = p->version;
    p->to = 0;
    p->version = 0;
    struct source *s =
        history_previous_source(&o->history, o->station->config.data_dir, o->id, &err);
    struct deploy_order order = {.source = s,
                                 .author = "auto-rollback",
                                 .message = p->reason,
                                 .is_rollback = true,
                                 .rejects = p->from,
                                 .done = on_done};
    if (s)
        err = deploy_ask(o, &order);
    if (err)
        log_warn("object %s is not rolled back: %s", o->id, strerror(-err));
}

static void check(struct object *o)
{
    struct probation *p = o->probation;
    if (!has_failed(o) || loop_timer_armed(&p->timer))
        return;
    if (o->migrated == p->version) {
        describe(o);
        p->version = 0;
        object_note(o, "WARNING", "not rolled back, for it migrated the state: %s", p->reason);
        log_warn("object %s is not rolled back, for its version migrated the state: %s", o->id,
                 p->reason);
        return;
    }
    loop_timer_set(o->station->loop, &p->timer, 0, on_failed, o);
}

/* --- events --- */

void probation_begin(struct object *o)
{
    struct probation *p = o->probation;
    uint64_t now = loop_now(o->station->loop);
    shift(p, now, o->station->config.rollback_window_ns);
    p->before = both(p);
    p->now = p->last = (struct probation_tally){0};
    p->span_ns = p->since_ns = now;
    p->deaths = 0;
    bool is_on = o->station->config.rollback && o->endpoint.auto_rollback;
    p->version = is_on && o->history.previous ? o->version : 0;
}

void probation_count(struct object *o, bool failed)
{
    struct probation *p = o->probation;
    shift(p, loop_now(o->station->loop), o->station->config.rollback_window_ns);
    p->now.calls++;
    p->now.failures += failed;
    if (failed && is_watched(o))
        check(o);
}

void probation_died(struct object *o)
{
    o->probation->deaths++;
    if (is_watched(o))
        check(o);
}

void probation_free(struct object *o)
{
    loop_timer_cancel(&o->probation->timer);
}

bool probation_put(const struct object *o, struct buf *json)
{
    const struct probation *p = o->probation;
    if (!p->to)
        return false;
    buf_putc(json, '{');
    json_put_number(json, "from", p->from);
    json_put_number(json, "to", p->to);
    json_put_key(json, "timestamp");
    buf_printf(json, "%llu.%06llu", (unsigned long long)(p->wall_us / 1000000),
               (unsigned long long)(p->wall_us % 1000000));
    json_put_member(json, "reason", p->reason);
    buf_putc(json, '}');
    return true;
}

void probation_put_remark(const struct object *o, struct buf *json)
{
    const struct probation *p = o->probation;
    if (!p->to || p->to != o->version)
        return;
    char text[sizeof(p->reason) + 64];
    snprintf(text, sizeof(text), "version %llu was rolled back: %s", (unsigned long long)p->from,
             p->reason);
    json_put_member(json, "rolled_back", text);
}

uint64_t probation_rollbacks(void)
{
    return rollbacks;
}
