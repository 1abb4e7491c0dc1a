// SPDX-License-Identifier: Apache-2.0
#include "supervisor/schedules/schedule_tick.h"

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/http/inside.h"
#include "supervisor/objects/object.h"
#include "supervisor/schedules/schedules_private.h"
#include "supervisor/station.h"
#include "supervisor/turn/turn.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LATE_S = 1,
    TICK_CRASHES = 3,
    WAIT_MS = 250, /* the first time, then twice as long each time */
    WAIT_MAX_MS = 30000,
    LOOK_FOR_OBJECT_MS = 60000,
    COUNTED_MAX = 1000000, /* of a time table; two years of minutes */
};

struct schedule_tick {
    struct schedules *all;
    struct schedule *schedule;
    struct object *object;
    struct schedule_run run;
    bool is_settled; /* its outcome is in a record, or will not be in any */
};

void schedule_tick_step(struct schedule_tick *tick, int64_t by_us, int64_t now_us)
{
    struct schedule_run *run = &tick->run;
    run->following_us =
        when_step(&tick->schedule->when, run->following_us, run->began_us, by_us, now_us);
}

struct span schedule_tick_function(const struct schedule_tick *tick)
{
    return span_of(tick->schedule->function);
}

/* --- again, later --- */

static void wait_for(struct schedules *all, struct schedule *s, int64_t ms)
{
    s->due_us = schedules_now_us() + ms * 1000;
    schedules_arm(all, s);
}

static int64_t backoff_ms(unsigned before)
{
    int64_t ms = (int64_t)WAIT_MS << (before < 7 ? before : 7);
    return ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS;
}

/* --- what came of it --- */

/* The "error" of a reply in JSON, or `otherwise`. True: it wanted more schedules than it may have.
 */
static bool error_of(struct span reply, const char *otherwise, char *out, size_t size)
{
    json_t *root = json_loadb(reply.data, reply.len, JSON_DISABLE_EOF_CHECK, NULL);
    const char *error = json_string_value(json_object_get(root, "error"));
    const char *crash = json_string_value(json_object_get(root, "crash_id"));
    const char *limit = json_string_value(json_object_get(root, "limit"));
    snprintf(out, size, "%s%s%s", error ? error : otherwise, crash ? ", crash " : "",
             crash ? crash : "");
    bool is_too_much = limit && strncmp(limit, "schedules", strlen("schedules")) == 0;
    json_decref(root);
    return is_too_much;
}

static int suspend(struct schedule_tick *tick, struct schedule_change *c)
{
    char why[SCHEDULE_FUNCTION_MAX + 64];
    snprintf(why, sizeof(why), "the module has no function %s", tick->schedule->function);
    object_note(tick->object, "ERROR", "schedule of %s is suspended: %s", tick->schedule->function,
                why);
    return schedule_change_suspend(c, tick->schedule, why);
}

static int settle(struct schedule_tick *tick, struct schedule_change *c, const char *status)
{
    struct schedules *all = tick->all;
    bool is_ok = strcmp(status, "ok") == 0;
    tick->is_settled = true;
    tick->schedule->attempts = 0;
    if (tick->schedule->is_dead)
        return 0;
    tick->run.status = status;
    int err = schedule_change_ran(c, tick->schedule, &tick->run);
    if (err)
        tick->is_settled = false;
    else
        all->failed += !is_ok;
    return err;
}

int schedule_tick_ended(struct schedule_tick *tick, struct schedule_change *c,
                        enum rpc_outcome outcome, struct span reply)
{
    char status[512];
    switch (outcome) {
    case RPC_OUTCOME_OK:
        return settle(tick, c, "ok");
    case RPC_OUTCOME_RAISED:
    case RPC_OUTCOME_TIMEOUT:
        error_of(reply, "it raised", status, sizeof(status));
        return settle(tick, c, status);
    case RPC_OUTCOME_MISSING:
        tick->is_settled = true;
        return tick->schedule->is_dead ? 0 : suspend(tick, c);
    default:
        return 0;
    }
}

void schedule_tick_refused(struct schedule_tick *tick)
{
    tick->is_settled = false;
}

/* It began and did not come to an end that its worker could tell. */
static void give_up(struct schedule_tick *tick, const char *status)
{
    struct schedule_change c;
    object_note(tick->object, "ERROR", "tick of %s is given up: %s", tick->schedule->function,
                status);
    schedule_change_begin(&c, tick->object);
    if (settle(tick, &c, status) == 0)
        schedule_change_commit(&c);
    else
        schedule_change_drop(&c);
}

static void after_crash(struct schedule_tick *tick, const char *status)
{
    struct schedule *s = tick->schedule;
    tick->all->crashed++;
    s->attempts++;
    if (s->attempts >= TICK_CRASHES) {
        give_up(tick, status);
        return;
    }
    object_note(tick->object, "WARNING", "tick of %s crashed (%s); it runs again in %d ms",
                s->function, status, (int)backoff_ms(s->attempts - 1));
}

static void note_delay(struct schedule *s, const char *why)
{
    free(s->delayed);
    s->delayed = why ? strdup(why) : NULL;
}

static void delay(struct schedule_tick *tick, const char *why)
{
    struct schedule *s = tick->schedule;
    if (s->waits++ == 0)
        object_note(tick->object, "WARNING", "tick of %s could not begin, it is tried again: %s",
                    s->function, why);
    note_delay(s, why);
}

/* Not to be told from one that did nothing: it is run again. */
static void after_error(struct schedule_tick *tick, unsigned http_status, const char *status,
                        bool is_too_much)
{
    bool ran_too_long = http_status == 504, wrote_too_much = http_status == 413;
    if (http_status == 502)
        after_crash(tick, status);
    else if (ran_too_long || wrote_too_much || is_too_much)
        give_up(tick, status);
    else
        delay(tick, status);
}

static void rearm(struct schedules *all, struct schedule *s, bool is_settled)
{
    if (is_settled) {
        s->waits = 0;
        note_delay(s, NULL);
        schedules_arm(all, s);
    } else if (s->attempts) {
        wait_for(all, s, backoff_ms(s->attempts - 1));
    } else {
        wait_for(all, s, backoff_ms(s->waits - 1));
    }
}

static void end(struct schedule_tick *tick)
{
    struct schedules *all = tick->all;
    struct schedule *s = tick->schedule;
    s->tick = NULL;
    all->running--;
    if (s->is_dead)
        schedule_free(s);
    else
        rearm(all, s, tick->is_settled);
    free(tick);
    schedules_look_later(all);
}

static void on_reply(void *context, const struct exchange_reply *reply)
{
    struct schedule_tick *tick = context;
    char status[512];
    struct span body = {reply->body, reply->body ? reply->body_size : 0};
    bool is_over = tick->is_settled || tick->schedule->is_dead;
    if (!is_over && !tick->all->station->stopping) { /* else the next start runs it again */
        bool is_too_much = error_of(body, "no reason known", status, sizeof(status));
        after_error(tick, reply->status, status, is_too_much);
    }
    free(reply->body);
    if (reply->body_fd > 0)
        close(reply->body_fd);
    end(tick);
}

/* --- starting --- */

static struct exchange *make_exchange(struct schedule_tick *tick)
{
    struct span payload = span_of(tick->schedule->payload);
    char target[OBJECT_ID_MAX + sizeof("/objects/")];
    int err;
    snprintf(target, sizeof(target), "/objects/%s", tick->object->id);
    struct inside_request request = {
        .method = "POST",
        .target = span_of(target),
        .head = span_of(payload.len ? "Content-Type: application/json\r\n" : ""),
        .body = payload,
        .body_fd = -1,
        .remote_addr = span_of("timer"),
        .request_id = {"", 0}};
    return inside_new(tick->all->station->front, &request, on_reply, tick, &err);
}

static struct schedule_tick *new_tick(struct schedules *all, struct schedule *s, struct object *o)
{
    struct schedule_tick *tick = calloc(1, sizeof(*tick));
    if (!tick)
        return NULL;
    tick->all = all;
    tick->schedule = s;
    tick->object = o;
    s->tick = tick;
    all->running++;
    return tick;
}

static void launch(struct schedules *all, struct schedule *s, struct object *o,
                   const struct schedule_run *run)
{
    struct schedule_tick *tick = new_tick(all, s, o);
    struct exchange *x = tick ? make_exchange(tick) : NULL;
    if (!x) {
        s->waits++;
        if (tick)
            end(tick);
        else
            wait_for(all, s, backoff_ms(s->waits - 1));
        return;
    }
    tick->run = *run;
    all->ticks++;
    struct call_origin origin = {.kind = RPC_CALL_TIMER,
                                 .path_skip = (uint32_t)exchange_request(x)->target.len,
                                 .tick = tick};
    turn_admit(all->station->turns, o, x, &origin); /* it may be answered, and the tick gone */
}

/* Times that have passed since the one that is due. */
static uint64_t missed_by(const struct schedule *s, int64_t now_us)
{
    uint64_t most = s->when.kind == WHEN_EVERY ? UINT64_MAX : COUNTED_MAX;
    int64_t at_us = s->next_us;
    return when_advance(&s->when, &at_us, now_us, most);
}

static void skip(struct schedule *s, struct object *o, int64_t now_us)
{
    struct schedule_change c;
    schedule_change_begin(&c, o);
    schedule_change_missed(&c, s, when_next(&s->when, s->next_us, now_us),
                           1 + missed_by(s, now_us));
    schedule_change_commit(&c);
}

/* Of too many, the newest are run: where to begin, and how many were left out. */
static uint64_t shorten(const struct schedule *s, uint64_t most, int64_t now_us, int64_t *first_us)
{
    uint64_t due = 1 + missed_by(s, now_us), dropped = due > most ? due - most : 0;
    *first_us = s->next_us;
    return when_advance(&s->when, first_us, now_us, dropped);
}

/* What runs now, and when it goes on. False: nothing does. */
static bool plan(struct schedules *all, struct schedule *s, struct object *o, int64_t now_us,
                 struct schedule_run *run)
{
    const uint64_t most = all->station->config.misfire_max;
    bool is_late = now_us - s->next_us > LATE_S * (int64_t)US_PER_S;
    bool is_again = s->attempts > 0;
    *run = (struct schedule_run){.began_us = now_us};
    all->late += is_late && !is_again && !s->waits;
    if (s->misfire == RPC_MISFIRE_SKIP && is_late && !is_again) {
        skip(s, o, now_us);
        return false;
    }
    if (s->misfire == RPC_MISFIRE_ALL && s->next_us <= now_us) {
        int64_t first_us;
        run->skipped = shorten(s, most, now_us, &first_us);
        run->following_us = when_next(&s->when, first_us, first_us);
    } else {
        run->skipped = missed_by(s, now_us);
        run->following_us = when_next_after(&s->when, s->next_us, now_us);
    }
    if (s->when.kind == WHEN_ONCE)
        run->following_us = WHEN_NEVER;
    return true;
}

void schedule_tick_start(struct schedules *all, struct schedule *s, int64_t now_us)
{
    const char *id = s->group->object_id;
    struct object *o = object_find(all->station->objects, id, strlen(id));
    struct schedule_run run;
    if (!o || o->phase == OBJECT_GONE || object_use(o) < 0)
        wait_for(all, s, LOOK_FOR_OBJECT_MS);
    else if (plan(all, s, o, now_us, &run))
        launch(all, s, o, &run);
}
