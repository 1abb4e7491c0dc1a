// SPDX-License-Identifier: Apache-2.0
#include "supervisor/schedules/schedule.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* --- what makes it different --- */

static XXH128_hash_t key_of(const char *object_id, const struct schedule_row *row)
{
    struct when when;
    char problem[WHEN_PROBLEM_SIZE];
    XXH3_state_t *state = XXH3_createState();
    XXH128_hash_t key = {0, 0};
    if (!state)
        return key;
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, object_id, strlen(object_id) + 1);
    XXH3_128bits_update(state, &row->origin, sizeof(row->origin));
    XXH3_128bits_update(state, row->function.data, row->function.len);
    XXH3_128bits_update(state, "", 1);
    XXH3_128bits_update(state, row->payload.data, row->payload.len);
    if (when_parse(row->when.data, &when, problem, sizeof(problem)) && when.kind == WHEN_ONCE)
        XXH3_128bits_update(state, &when.once_us, sizeof(when.once_us));
    key = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return key;
}

struct schedule *schedule_find(const struct schedule_table *t, const char *object_id,
                               const struct schedule_row *row)
{
    struct schedule *s;
    XXH128_hash_t key = key_of(object_id, row);
    HASH_FIND(hh, t->by_key, &key, sizeof(key), s);
    return s;
}

/* --- objects --- */

struct schedule_group *schedule_group_find(const struct schedule_table *t, const char *object_id)
{
    struct schedule_group *g;
    HASH_FIND_STR(t->groups, object_id, g);
    return g;
}

static struct schedule_group *new_group(struct schedule_table *t, const char *object_id)
{
    struct schedule_group *g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    g->object_id = strdup(object_id);
    if (g->object_id)
        HASH_ADD_KEYPTR(hh, t->groups, g->object_id, strlen(g->object_id), g);
    if (g->object_id && g->hh.tbl)
        return g;
    free(g->object_id);
    free(g);
    return NULL;
}

struct schedule_group *schedule_group_get(struct schedule_table *t, const char *object_id)
{
    struct schedule_group *g = schedule_group_find(t, object_id);
    return g ? g : new_group(t, object_id);
}

/* --- schedules --- */

void schedule_free(struct schedule *s)
{
    free(s->function);
    free(s->when_text);
    free(s->payload);
    free(s->status);
    free(s->suspended);
    free(s->delayed);
    free(s->proposal.when_text);
    free(s->proposal.status);
    free(s->proposal.suspended);
    free(s);
}

static bool take_row(struct schedule *s, const struct schedule_row *row)
{
    char problem[WHEN_PROBLEM_SIZE];
    s->function = span_dup(row->function);
    s->when_text = span_dup(row->when);
    s->payload = span_dup(row->payload);
    s->status = span_dup(row->status);
    s->suspended = span_dup(row->suspended);
    s->misfire = row->misfire;
    s->origin = row->origin;
    s->next_us = s->due_us = row->next_us;
    s->last_us = row->last_us;
    s->runs = row->runs;
    s->errors = row->errors;
    s->skipped = row->skipped;
    return s->function && s->when_text && s->payload && s->status && s->suspended &&
           when_parse(s->when_text, &s->when, problem, sizeof(problem));
}

struct schedule *schedule_add(struct schedule_table *t, struct schedule_group *group, uint64_t id,
                              const struct schedule_row *row)
{
    struct schedule *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->id = id;
    s->group = group;
    s->key = key_of(group->object_id, row);
    if (take_row(s, row) && !schedule_find(t, group->object_id, row))
        HASH_ADD(hh, t->by_key, key, sizeof(s->key), s);
    if (!s->hh.tbl) {
        schedule_free(s);
        return NULL;
    }
    DL_APPEND(group->list, s);
    group->count++;
    t->count++;
    return s;
}

void schedule_remove(struct schedule_table *t, struct schedule *s)
{
    HASH_DEL(t->by_key, s);
    DL_DELETE(s->group->list, s);
    s->group->count--;
    t->count--;
    s->is_dead = true;
    if (!s->tick)
        schedule_free(s);
}

void schedule_table_free(struct schedule_table *t)
{
    struct schedule_group *g, *next;
    HASH_CLEAR(hh, t->by_key);
    HASH_ITER (hh, t->groups, g, next) {
        struct schedule *s, *after;
        DL_FOREACH_SAFE (g->list, s, after)
            schedule_free(s);
        HASH_DEL(t->groups, g);
        free(g->object_id);
        free(g);
    }
}

struct schedule_row schedule_row_of(const struct schedule *s)
{
    const struct schedule_proposal *p = &s->proposal;
    struct schedule_row row = {.function = span_of(s->function),
                               .when = span_of(s->when_text),
                               .status = span_of(s->status),
                               .suspended = span_of(s->suspended),
                               .payload = span_of(s->payload),
                               .misfire = s->misfire,
                               .origin = s->origin,
                               .next_us = s->next_us,
                               .last_us = s->last_us,
                               .runs = s->runs,
                               .errors = s->errors,
                               .skipped = s->skipped};
    if (!p->is_set)
        return row;
    row.when = p->when_text ? span_of(p->when_text) : row.when;
    row.status = p->status ? span_of(p->status) : row.status;
    row.suspended = p->suspended ? span_of(p->suspended) : row.suspended;
    row.misfire = p->misfire;
    row.next_us = p->next_us;
    row.last_us = p->last_us;
    row.runs = p->runs;
    row.errors = p->errors;
    row.skipped = p->skipped;
    return row;
}
