// SPDX-License-Identifier: Apache-2.0
/* What people see of the schedules of an object. */
#include "common/clock.h"
#include "common/json_text.h"
#include "supervisor/objects/object.h"
#include "supervisor/schedules/schedules_private.h"
#include "supervisor/station.h"

#include <string.h>

static void put_time(struct buf *json, const char *key, int64_t us)
{
    char text[CLOCK_ISO_SIZE];
    json_put_key(json, key);
    if (us <= 0) {
        buf_puts(json, "null");
        return;
    }
    clock_iso((uint64_t)us, text);
    json_put_string(json, text, strlen(text));
}

static void put_flag(struct buf *json, const char *key, bool value)
{
    json_put_key(json, key);
    buf_puts(json, value ? "true" : "false");
}

static void put_interval(struct buf *json, const struct schedule *s)
{
    json_put_key(json, "interval");
    if (s->when.kind == WHEN_EVERY)
        buf_printf(json, "%.10g", (double)s->when.every_us / 1e6);
    else
        json_put_string(json, s->when_text, strlen(s->when_text));
}

static void put_last(struct buf *json, const struct schedule *s)
{
    bool is_ok = strcmp(s->status, "ok") == 0;
    put_time(json, "last_run", s->last_us);
    if (!*s->status)
        return;
    json_put_member(json, "last_status", is_ok ? "ok" : "error");
    if (!is_ok)
        json_put_member(json, "last_error", s->status);
}

static void put_schedule(struct buf *json, const struct schedule *s)
{
    buf_putc(json, '{');
    json_put_member(json, "method", s->function);
    json_put_member(json, "kind", when_kind_name(s->when.kind));
    put_interval(json, s);
    put_time(json, "next_run", *s->suspended ? 0 : s->next_us);
    put_last(json, s);
    json_put_number(json, "runs", s->runs);
    json_put_number(json, "errors", s->errors);
    json_put_number(json, "skipped", s->skipped);
    json_put_member(json, "misfire", rpc_misfire_names[s->misfire]);
    put_flag(json, "declared", s->origin == SCHEDULE_BY_DEPLOY);
    put_flag(json, "running", s->tick != NULL);
    if (s->delayed)
        json_put_member(json, "delayed", s->delayed);
    if (*s->suspended)
        json_put_member(json, "suspended", s->suspended);
    json_put_key(json, "payload");
    buf_puts(json, *s->payload ? s->payload : "null");
    buf_putc(json, '}');
}

void schedules_put(struct object *o, struct buf *json)
{
    const struct schedules *all = o->station->schedules;
    const struct schedule_group *group = schedule_group_find(&all->table, o->id);
    const struct schedule *s = group ? group->list : NULL;
    buf_putc(json, '[');
    for (; s; s = s->next) {
        put_schedule(json, s);
        if (s->next)
            buf_putc(json, ',');
    }
    buf_putc(json, ']');
}

static bool was_put(const struct schedule *first, const struct schedule *s)
{
    while (first != s && strcmp(first->function, s->function) != 0)
        first = first->next;
    return first != s;
}

/* An object has few functions, whatever the number of its schedules. */
void schedules_put_functions(struct object *o, struct buf *json)
{
    const struct schedules *all = o->station->schedules;
    const struct schedule_group *group = schedule_group_find(&all->table, o->id);
    const struct schedule *first = group ? group->list : NULL;
    bool any = false;
    buf_putc(json, '[');
    for (const struct schedule *s = first; s; s = s->next) {
        if (was_put(first, s))
            continue;
        if (any)
            buf_putc(json, ',');
        json_put_string(json, s->function, strlen(s->function));
        any = true;
    }
    buf_putc(json, ']');
}
