// SPDX-License-Identifier: Apache-2.0
#include "supervisor/schedules/schedule_change.h"

#include "common/json_scan.h"
#include "common/log.h"
#include "supervisor/objects/object.h"
#include "supervisor/schedules/schedule_save.h"
#include "supervisor/schedules/schedules_private.h"
#include "supervisor/state/store.h"
#include "supervisor/station.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct schedules *all_of(const struct schedule_change *c)
{
    return c->object->station->schedules;
}

void schedule_change_begin(struct schedule_change *c, struct object *o)
{
    *c = (struct schedule_change){.object = o, .text = BUF_INIT};
}

/* --- what changes --- */

static void touch(struct schedule_change *c, struct schedule *s)
{
    if (s->is_touched)
        return;
    s->is_touched = true;
    s->next_touched = c->touched;
    c->touched = s;
}

static struct schedule_proposal *propose(struct schedule_change *c, struct schedule *s)
{
    struct schedule_proposal *p = &s->proposal;
    touch(c, s);
    if (p->is_set)
        return p;
    *p = (struct schedule_proposal){.is_set = true,
                                    .when = s->when,
                                    .misfire = s->misfire,
                                    .next_us = s->next_us,
                                    .last_us = s->last_us,
                                    .runs = s->runs,
                                    .errors = s->errors,
                                    .skipped = s->skipped};
    return p;
}

static int replace_text(char **slot, struct span text)
{
    char *copy = span_dup(text);
    if (!copy)
        return -ENOMEM;
    free(*slot);
    *slot = copy;
    return 0;
}

static int64_t first_time(const struct when *when)
{
    int64_t now = schedules_now_us();
    return when->kind == WHEN_ONCE ? when->once_us : when_next(when, now, now);
}

static int limit_met(const struct schedule_change *c, const struct schedule_group *group)
{
    const struct schedules *all = all_of(c);
    const struct config *config = &c->object->station->config;
    if (group->count >= config->schedules_object_max)
        return -EDQUOT;
    return all->table.count >= config->schedules_max ? -EUSERS : 0;
}

static int add(struct schedule_change *c, const struct schedule_row *row)
{
    struct schedules *all = all_of(c);
    struct schedule_group *group = schedule_group_get(&all->table, c->object->id);
    int err = group ? limit_met(c, group) : -ENOMEM;
    if (err || schedule_heap_reserve(&all->heap, all->table.count + 1) < 0)
        return err ? err : -ENOMEM;
    struct schedule *s = schedule_add(&all->table, group, all->last_id + 1, row);
    if (!s)
        return -ENOMEM;
    all->last_id++;
    s->is_new = true;
    touch(c, s);
    return 0;
}

/* The same again keeps its times; another time, or another policy, begins anew. */
static int change(struct schedule_change *c, struct schedule *s, const struct schedule_row *row,
                  const struct when *when)
{
    struct schedule_row now = schedule_row_of(s);
    s->is_stale = false;
    bool is_same = span_equal(now.when, row->when.data) && now.misfire == row->misfire;
    if (is_same && !s->is_doomed)
        return 0;
    struct schedule_proposal *p = propose(c, s);
    s->is_doomed = false;
    p->when = *when;
    p->misfire = row->misfire;
    p->next_us = first_time(when);
    return replace_text(&p->when_text, row->when);
}

static int set_row(struct schedule_change *c, struct schedule_row *row)
{
    struct when when;
    char problem[WHEN_PROBLEM_SIZE];
    if (!when_parse(row->when.data, &when, problem, sizeof(problem)))
        return -EBADMSG;
    struct schedule *s = schedule_find(&all_of(c)->table, c->object->id, row);
    if (s)
        return change(c, s, row, &when);
    row->next_us = first_time(&when);
    return add(c, row);
}

int schedule_change_set(struct schedule_change *c, enum schedule_origin origin,
                        const struct rpc_schedule *wanted)
{
    struct schedule_row row = {.function = wanted->function,
                               .payload = wanted->payload,
                               .status = {"", 0},
                               .suspended = {"", 0},
                               .misfire = wanted->misfire,
                               .origin = origin};
    bool is_sound = schedule_function_valid(wanted->function) &&
                    wanted->payload.len <= c->object->station->config.schedule_payload_max &&
                    (!wanted->payload.len || json_scan_valid(wanted->payload)) &&
                    !memchr(wanted->when.data, '\0', wanted->when.len);
    if (!is_sound)
        return -EBADMSG;
    char *when = span_dup(wanted->when);
    if (!when)
        return -ENOMEM;
    row.when = span_of(when);
    int err = set_row(c, &row);
    free(when);
    return err;
}

void schedule_change_delete(struct schedule_change *c, struct schedule *s)
{
    s->is_doomed = true;
    touch(c, s);
}

static void delete_asked(struct schedule_change *c, const struct rpc_schedule *asked)
{
    struct schedule_group *group = schedule_group_find(&all_of(c)->table, c->object->id);
    for (struct schedule *s = group ? group->list : NULL; s; s = s->next) {
        bool is_meant =
            s->origin == SCHEDULE_BY_CALL &&
            (!asked->function.len || span_equal(asked->function, s->function)) &&
            (asked->op == RPC_SCHEDULE_DELETE || span_equal(asked->payload, s->payload));
        if (is_meant)
            schedule_change_delete(c, s);
    }
}

int schedule_change_asked(struct schedule_change *c, const struct rpc_schedules *asked)
{
    struct codec_reader r = codec_reader_of(asked->schedules.data, asked->schedules.len);
    struct rpc_schedule one;
    int err = 0;
    while (!err && rpc_schedule_next(&r, &one)) {
        if (one.op == RPC_SCHEDULE_SET)
            err = schedule_change_set(c, SCHEDULE_BY_CALL, &one);
        else
            delete_asked(c, &one);
    }
    return err;
}

int schedule_change_suspend(struct schedule_change *c, struct schedule *s, const char *why)
{
    if (strcmp(s->suspended, why) == 0)
        return 0;
    return replace_text(&propose(c, s)->suspended, span_of(why));
}

static struct span cut(const char *text)
{
    struct span s = span_of(text);
    if (s.len <= SCHEDULE_STATUS_MAX)
        return s;
    s.len = SCHEDULE_STATUS_MAX;
    while (s.len && ((unsigned char)s.data[s.len] & 0xc0) == 0x80) /* within a character */
        s.len--;
    return s;
}

int schedule_change_ran(struct schedule_change *c, struct schedule *s,
                        const struct schedule_run *run)
{
    bool was_set = s->proposal.is_set; /* the turn itself gave it another time */
    struct schedule_proposal *p = propose(c, s);
    p->last_us = run->began_us;
    p->runs++;
    p->errors += strcmp(run->status, "ok") != 0;
    p->skipped += run->skipped;
    if (!was_set)
        p->next_us = run->following_us;
    if (run->following_us == WHEN_NEVER)
        schedule_change_delete(c, s);
    return replace_text(&p->status, cut(run->status));
}

int schedule_change_missed(struct schedule_change *c, struct schedule *s, int64_t next_us,
                           uint64_t skipped)
{
    struct schedule_proposal *p = propose(c, s);
    p->skipped += skipped;
    p->next_us = next_us;
    if (next_us == WHEN_NEVER)
        schedule_change_delete(c, s);
    return 0;
}

/* --- the record --- */

int schedule_change_write(struct schedule_change *c)
{
    for (struct schedule *s = c->touched; s; s = s->next_touched) {
        if (s->is_doomed && s->is_new)
            continue;
        buf_printf(&c->text, "%s\t%" PRIu64, s->is_doomed ? "del" : "put", s->id);
        if (!s->is_doomed) {
            struct schedule_row row = schedule_row_of(s);
            buf_putc(&c->text, '\t');
            schedule_row_put(&c->text, &row);
        }
        buf_putc(&c->text, '\n');
        c->count++;
    }
    return buf_ok(&c->text) ? 0 : -ENOMEM;
}

static void forget_proposal(struct schedule *s)
{
    free(s->proposal.when_text);
    free(s->proposal.status);
    free(s->proposal.suspended);
    s->proposal = (struct schedule_proposal){0};
}

static void move_text(char **slot, char **from)
{
    if (!*from)
        return;
    free(*slot);
    *slot = *from;
    *from = NULL;
}

static void apply(struct schedule *s)
{
    struct schedule_proposal *p = &s->proposal;
    if (!p->is_set)
        return;
    move_text(&s->when_text, &p->when_text);
    move_text(&s->status, &p->status);
    move_text(&s->suspended, &p->suspended);
    s->when = p->when;
    s->misfire = p->misfire;
    s->next_us = s->due_us = p->next_us;
    s->last_us = p->last_us;
    s->runs = p->runs;
    s->errors = p->errors;
    s->skipped = p->skipped;
    forget_proposal(s);
}

static struct schedule *next_touched(struct schedule_change *c)
{
    struct schedule *s = c->touched;
    if (s) {
        c->touched = s->next_touched;
        s->is_touched = false;
    }
    return s;
}

void schedule_change_accept(struct schedule_change *c, uint64_t seq)
{
    struct schedules *all = all_of(c);
    struct schedule *s;
    bool any = c->touched != NULL;
    while ((s = next_touched(c))) {
        s->is_new = false;
        if (s->proposal.is_set)
            all->skipped += s->proposal.skipped - s->skipped;
        if (s->is_doomed) {
            schedule_heap_take(&all->heap, s);
            schedule_remove(&all->table, s);
            continue;
        }
        apply(s);
        schedules_arm(all, s);
    }
    if (c->count && seq)
        schedule_save_later(all, seq);
    buf_free(&c->text);
    if (any)
        schedules_look_later(all);
}

void schedule_change_drop(struct schedule_change *c)
{
    struct schedule *s;
    while ((s = next_touched(c))) {
        forget_proposal(s);
        s->is_doomed = false;
        if (s->is_new)
            schedule_remove(&all_of(c)->table, s);
    }
    buf_free(&c->text);
}

void schedule_change_commit(struct schedule_change *c)
{
    struct object *o = c->object;
    uint64_t seq = 0;
    if (!c->touched)
        return;
    int err = object_use(o);
    if (!err)
        err = schedule_change_write(c);
    if (!err && c->count) {
        struct store_turn turn = {.request_id = {"", 0},
                                  .writes = {"", 0},
                                  .files = {.files = {"", 0}},
                                  .timers = {c->text.data, c->text.len},
                                  .timer_count = c->count};
        err = store_commit_turn(o->station->store, o->state, &turn, &seq);
    }
    if (err) {
        log_warn("a change of schedules of %s is not in the journal: %s", o->id, strerror(-err));
        seq = 0;
    }
    schedule_change_accept(c, seq);
}
