// SPDX-License-Identifier: Apache-2.0
#include "supervisor/objects/probation.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "common/log.h"
#include "supervisor/objects/deploy.h"
#include "supervisor/objects/object.h"
#include "supervisor/objects/renew.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEATHS_ENOUGH = 3 /* one that dies at each call is seen long before it has had many */ };
#define RETRY_MIN_NS (NS_PER_S / 4)
#define RETRY_MAX_NS (60 * NS_PER_S)

static uint64_t rollbacks;

/* --- counting --- */

static void shift(struct probation *p, uint64_t now, uint64_t span)
{
    if (now - p->span_ns < span)
        return;
    bool is_adjacent = now - p->span_ns < 2 * span;
    p->last = is_adjacent ? p->now : (struct probation_tally){0};
    p->counted_ns = is_adjacent ? p->span_ns : now;
    p->now = (struct probation_tally){0};
    p->span_ns = now;
}

static struct probation_tally both(const struct probation *p)
{
    return (struct probation_tally){p->now.calls + p->last.calls,
                                    p->now.failures + p->last.failures,
                                    p->now.deaths + p->last.deaths};
}

static bool is_watched(const struct object *o)
{
    const struct probation *p = o->probation;
    uint64_t age_ns = loop_now(o->station->loop) - p->since_ns;
    return p->version && p->version == o->version &&
           (p->attempts || age_ns < o->station->config.rollback_window_ns);
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
    bool is_enough = t.calls >= c->rollback_calls || t.deaths >= DEATHS_ENOUGH;
    return is_enough && t.failures > 0 && t.failures * 100 >= t.calls * c->rollback_errors &&
           !was_as_bad(p, t);
}

/* --- the way back --- */

static void forget_problem(struct probation *p)
{
    free(p->problem);
    p->problem = NULL;
    p->attempts = 0;
    p->again_ns = 0;
    p->is_given_up = false;
}

static uint64_t delay_ns(unsigned attempts)
{
    uint64_t delay = RETRY_MIN_NS << (attempts < 16 ? attempts : 16);
    return delay < RETRY_MAX_NS ? delay : RETRY_MAX_NS;
}

/* The version on probation goes on serving. */
static void note_problem(struct object *o, const char *problem, bool is_final)
{
    struct probation *p = o->probation;
    uint64_t delay = delay_ns(p->attempts++);
    char then[80] = "given up";
    if (!is_final)
        snprintf(then, sizeof(then), "tried again in %.3g s if it fails then", (double)delay / 1e9);
    free(p->problem);
    p->problem = strdup(problem);
    p->problem_us = clock_wall_us();
    p->again_ns = loop_now(o->station->loop) + delay;
    p->is_given_up = is_final;
    object_note(o, "ERROR", "not rolled back (%s): %s; %s", p->reason, problem, then);
    log_warn("object %s is not rolled back (%s): %s; %s", o->id, p->reason, problem, then);
}

static void note_rollback(struct object *o, uint64_t from, uint64_t to)
{
    struct probation *p = o->probation;
    rollbacks++;
    forget_problem(p);
    p->version = 0;
    p->from = from;
    p->to = to;
    p->wall_us = clock_wall_us();
    object_note(o, "ERROR", "rolled back: %s", p->reason);
    log_warn("object %s is rolled back as version %llu: %s", o->id, (unsigned long long)to,
             p->reason);
}

static void on_done(void *arg, struct object *o, const struct deploy_result *result)
{
    (void)arg;
    struct probation *p = o->probation;
    uint64_t from = p->asked;
    bool still_serves = p->version == from && o->version == from && o->phase != OBJECT_GONE &&
                        !o->station->stopping;
    p->asked = 0;
    if (result->outcome == DEPLOY_SERVES)
        note_rollback(o, from, result->version);
    else if (still_serves) /* else something newer has come */
        note_problem(o, result->message, false);
}

static void describe(struct object *o)
{
    struct probation *p = o->probation;
    struct probation_tally t = both(p);
    double seconds = (double)(loop_now(o->station->loop) - p->counted_ns) / 1e9;
    p->to = 0;
    snprintf(
        p->reason, sizeof(p->reason), "%llu of %llu calls failed in the %s %.1f s of version %llu",
        (unsigned long long)t.failures, (unsigned long long)t.calls,
        p->counted_ns == p->since_ns ? "first" : "last", seconds, (unsigned long long)p->version);
}

/* Takes the source of the version before over. */
static void roll_back(struct object *o, struct source *before)
{
    struct probation *p = o->probation;
    struct deploy_order order = {.source = before,
                                 .author = "auto-rollback",
                                 .message = p->reason,
                                 .is_rollback = true,
                                 .rejects = p->version,
                                 .done = on_done};
    p->asked = p->version;
    int err = deploy_ask(o, &order);
    if (!err)
        return;
    p->asked = 0;
    note_problem(o, err == -EBUSY ? "too many of its sources wait to be deployed" : strerror(-err),
                 false);
}

static void note_no_source(struct object *o, int err)
{
    bool is_lost = err == -EBADMSG || err == -ENOENT;
    char problem[120];
    snprintf(problem, sizeof(problem), "version %llu %s%s", (unsigned long long)o->history.previous,
             err == -EBADMSG ? "is damaged on the disk" : "cannot be read: ",
             err == -EBADMSG ? "" : strerror(-err));
    note_problem(o, problem, is_lost);
}

/* What takes its place is stored already; unless it is on its way, it failed to come to serve. */
static void load_newer(struct object *o)
{
    if (o->deploy || o->loading || o->phase != OBJECT_SERVING)
        return;
    describe(o);
    note_problem(o, "a newer version is stored and did not come to serve", false);
    renew_soon(o);
}

static void on_failed(void *arg)
{
    struct object *o = arg;
    struct probation *p = o->probation;
    int err;
    if (p->version != o->history.accepted) {
        load_newer(o);
        return;
    }
    if (o->history.previous == 0)
        return;
    describe(o);
    struct source *before =
        history_previous_source(&o->history, o->station->config.data_dir, o->id, &err);
    if (before)
        roll_back(o, before);
    else
        note_no_source(o, err);
}

static void check(struct object *o)
{
    struct probation *p = o->probation;
    bool may_try = !p->asked && !p->is_given_up && loop_now(o->station->loop) >= p->again_ns;
    if (!may_try || !has_failed(o) || loop_timer_armed(&p->timer))
        return;
    if (o->migrated == p->version) {
        describe(o);
        note_problem(o, "it migrated the state", true);
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
    p->span_ns = p->counted_ns = p->since_ns = now;
    forget_problem(p);
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
    struct probation *p = o->probation;
    shift(p, loop_now(o->station->loop), o->station->config.rollback_window_ns);
    p->now.deaths++;
    if (is_watched(o))
        check(o);
}

void probation_free(struct object *o)
{
    loop_timer_cancel(&o->probation->timer);
    forget_problem(o->probation);
}

static void put_time(struct buf *json, uint64_t wall_us)
{
    json_put_key(json, "timestamp");
    buf_printf(json, "%llu.%06llu", (unsigned long long)(wall_us / 1000000),
               (unsigned long long)(wall_us % 1000000));
}

static void put_rollback(const struct probation *p, struct buf *json)
{
    json_put_key(json, "last_rollback");
    buf_putc(json, '{');
    json_put_number(json, "from", p->from);
    json_put_number(json, "to", p->to);
    put_time(json, p->wall_us);
    json_put_member(json, "reason", p->reason);
    buf_putc(json, '}');
}

static void put_problem(const struct probation *p, struct buf *json)
{
    json_put_key(json, "rollback_failed");
    buf_putc(json, '{');
    json_put_number(json, "from", p->version);
    json_put_number(json, "attempts", p->attempts);
    put_time(json, p->problem_us);
    json_put_member(json, "reason", p->reason);
    json_put_member(json, "error", p->problem);
    json_put_key(json, "given_up");
    buf_puts(json, p->is_given_up ? "true}" : "false}");
}

static bool has_problem(const struct object *o)
{
    return o->probation->problem && o->probation->version == o->version;
}

void probation_put(const struct object *o, struct buf *json)
{
    if (o->probation->to)
        put_rollback(o->probation, json);
    if (has_problem(o))
        put_problem(o->probation, json);
}

void probation_put_remark(const struct object *o, struct buf *json)
{
    const struct probation *p = o->probation;
    struct buf text = BUF_INIT;
    if (p->to && p->to == o->version) {
        buf_printf(&text, "version %llu was rolled back: %s", (unsigned long long)p->from,
                   p->reason);
        json_put_member(json, "rolled_back", buf_str(&text));
    } else if (has_problem(o)) {
        buf_printf(&text, "%s; not rolled back%s: %s", p->reason,
                   p->is_given_up ? ", given up" : "", p->problem);
        json_put_member(json, "rollback_failed", buf_str(&text));
    }
    buf_free(&text);
}

uint64_t probation_rollbacks(void)
{
    return rollbacks;
}
