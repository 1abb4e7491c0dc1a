// SPDX-License-Identifier: Apache-2.0
/*
 * What a module declares: __endpoint__["schedule"] and the calls of _schedule() that it makes while
 * it is imported, both in the metadata of READY. What is declared no more goes; schedules of
 * functions that the module does not have are suspended.
 */
#include "common/log.h"
#include "supervisor/objects/object.h"
#include "supervisor/schedules/schedule_change.h"
#include "supervisor/schedules/schedules_private.h"
#include "supervisor/station.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what is declared --- */

static struct span text_of(const json_t *value)
{
    const char *text = json_string_value(value);
    return (struct span){text ? text : "", json_string_length(value)};
}

/* Not yet there and over already: it ran before, or never will. */
static bool is_past(const struct schedule_change *c, const struct rpc_schedule *wanted)
{
    struct when when;
    char problem[WHEN_PROBLEM_SIZE];
    struct schedule_row row = {.function = wanted->function,
                               .when = wanted->when,
                               .payload = wanted->payload,
                               .origin = SCHEDULE_BY_DEPLOY};
    return when_parse(wanted->when.data, &when, problem, sizeof(problem)) &&
           when.kind == WHEN_ONCE && when.once_us <= schedules_now_us() &&
           !schedule_find(&c->object->station->schedules->table, c->object->id, &row);
}

static int declare(struct schedule_change *c, const struct rpc_schedule *wanted)
{
    if (!memchr(wanted->when.data, '\0', wanted->when.len) && is_past(c, wanted))
        return 0;
    return schedule_change_set(c, SCHEDULE_BY_DEPLOY, wanted);
}

/* {"function": "*\/5 * * * *" or seconds} */
static int declare_endpoint(struct schedule_change *c, json_t *table)
{
    const char *function;
    json_t *when;
    int err = 0;
    json_object_foreach(table, function, when)
    {
        char seconds[32];
        snprintf(seconds, sizeof(seconds), "%.15g", json_number_value(when));
        struct rpc_schedule one = {.op = RPC_SCHEDULE_SET,
                                   .function = span_of(function),
                                   .payload = {"", 0},
                                   .when = json_is_string(when) ? text_of(when) : span_of(seconds),
                                   .misfire = RPC_MISFIRE_ONCE};
        err = err ? err : declare(c, &one);
    }
    return err;
}

static enum rpc_misfire misfire_of(const json_t *value)
{
    json_int_t number = json_integer_value(value);
    return number >= 0 && number < RPC_MISFIRES ? (enum rpc_misfire)number : RPC_MISFIRE_ONCE;
}

/* [function, when, payload as text, misfire] each */
static int declare_imported(struct schedule_change *c, const json_t *list)
{
    int err = 0;
    for (size_t i = 0; i < json_array_size(list) && !err; i++) {
        const json_t *item = json_array_get(list, i);
        struct rpc_schedule one = {.op = RPC_SCHEDULE_SET,
                                   .function = text_of(json_array_get(item, 0)),
                                   .when = text_of(json_array_get(item, 1)),
                                   .payload = text_of(json_array_get(item, 2)),
                                   .misfire = misfire_of(json_array_get(item, 3))};
        err = declare(c, &one);
    }
    return err;
}

static int declare_all(struct schedule_change *c, const json_t *ready)
{
    struct schedules *all = c->object->station->schedules;
    struct schedule_group *group = schedule_group_find(&all->table, c->object->id);
    for (struct schedule *s = group ? group->list : NULL; s; s = s->next)
        if (s->origin == SCHEDULE_BY_DEPLOY)
            s->is_stale = true;
    int err = declare_endpoint(c, json_object_get(json_object_get(ready, "endpoint"), "schedule"));
    return err ? err : declare_imported(c, json_object_get(ready, "schedules"));
}

static void delete_stale(struct schedule_change *c, struct schedule_group *group, bool may)
{
    for (struct schedule *s = group ? group->list : NULL; s; s = s->next) {
        if (s->is_stale && may)
            schedule_change_delete(c, s);
        s->is_stale = false;
    }
}

/* --- which functions are there --- */

/* The list is the worker's: what is in it may be anything. */
static bool lists(const json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++)
        if (span_equal(text_of(json_array_get(names, i)), name))
            return true;
    return false;
}

static int look_at_function(struct schedule_change *c, struct schedule *s, bool is_missing)
{
    struct object *o = c->object;
    char why[SCHEDULE_FUNCTION_MAX + 64] = "";
    if (s->is_doomed || is_missing == (*s->suspended != '\0'))
        return 0;
    if (is_missing) {
        snprintf(why, sizeof(why), "the module has no function %s", s->function);
        object_note(o, "WARNING", "schedule of %s is suspended: %s", s->function, why);
    } else {
        object_note(o, "INFO", "schedule of %s goes on: the module has that function again",
                    s->function);
    }
    return schedule_change_suspend(c, s, why);
}

static int look_at_functions(struct schedule_change *c, struct schedule_group *group,
                             const json_t *missing)
{
    int err = 0;
    for (struct schedule *s = group ? group->list : NULL; s && !err; s = s->next)
        err = look_at_function(c, s, lists(missing, s->function));
    return err;
}

/* --- both --- */

static const char *reason(int err)
{
    return err == -EDQUOT   ? "limits.schedules_object_max is met"
           : err == -EUSERS ? "limits.schedules_max is met"
                            : strerror(-err);
}

static void take_ready(struct object *o, const json_t *ready)
{
    struct schedules *all = o->station->schedules;
    struct schedule_change c;
    schedule_change_begin(&c, o);
    int err = declare_all(&c, ready);
    struct schedule_group *group = schedule_group_find(&all->table, o->id);
    delete_stale(&c, group, err == 0);
    if (!err)
        err = look_at_functions(&c, group, json_object_get(ready, "missing"));
    if (!err) {
        schedule_change_commit(&c);
        return;
    }
    schedule_change_drop(&c);
    object_note(o, "ERROR", "its schedules stay as they were: %s", reason(err));
}

void schedules_served(struct object *o)
{
    struct schedules *all = o->station->schedules;
    const char *metadata = o->endpoint.metadata;
    if (!metadata || (!schedule_group_find(&all->table, o->id) && !strstr(metadata, "\"schedule")))
        return;
    json_t *ready = json_loads(metadata, JSON_ALLOW_NUL, NULL);
    take_ready(o, ready);
    json_decref(ready);
}
