// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_private.h"

#include "common/clock.h"
#include "common/events/redis_command.h"

#include <stdio.h>

#define PERIOD_LEAST_NS (10 * NS_PER_MS)
#define PERIOD_MOST_NS  NS_PER_S
enum { WHOLE_PAGE = 1000 /* entries listed where Redis cannot leave out those in work */ };

static bool ends_ahead(const redisReply *consumer)
{
    size_t len = strlen(REDIS_AHEAD_SUFFIX);
    return consumer->len > len &&
           memcmp(consumer->str + consumer->len - len, REDIS_AHEAD_SUFFIX, len) == 0;
}

bool redis_pending_parse(const redisReply *line, struct redis_pending_line *pending)
{
    if (line->type != REDIS_REPLY_ARRAY || line->elements != 4)
        return false;
    const redisReply *id = line->element[0], *consumer = line->element[1];
    const redisReply *idle = line->element[2], *count = line->element[3];
    if (id->type != REDIS_REPLY_STRING || consumer->type != REDIS_REPLY_STRING ||
        idle->type != REDIS_REPLY_INTEGER || count->type != REDIS_REPLY_INTEGER ||
        !redis_command_parse_id((struct span){id->str, id->len}, &pending->id))
        return false;
    long long attempts = count->integer - (ends_ahead(consumer) ? 1 : 0);
    pending->attempts = attempts < 0 ? 0 : attempts > UINT32_MAX ? UINT32_MAX : (uint32_t)attempts;
    pending->idle_ms = idle->integer > 0 ? (uint64_t)idle->integer : 0;
    return true;
}

/* --- claiming ------------------------------------------------------------------------------- */

static void end_claim(struct redis_backend *b, struct redis_task *task, bool done)
{
    if (task->finding)
        redis_lost_step(b, done);
    redis_task_end(b, task, 0);
}

/* It may have been done: then they belong to those fetched ahead. */
static void lost(void *owner, struct redis_request *request)
{
    redis_lost_note(owner);
    end_claim(owner, redis_task_of(request), false);
}

static bool is_list(const struct redis_request *request, const redisReply *reply)
{
    return !request->error && reply->type == REDIS_REPLY_ARRAY;
}

/* Below Redis 7 an entry that was deleted answers nil, and stays pending. */
static void bury_deleted(struct redis_backend *b, struct redis_task *task, const redisReply *list)
{
    if (list->elements != redis_task_id_count(task))
        return;
    for (size_t i = 0; i < list->elements; i++) {
        struct redis_entry entry = {.id = redis_task_ids(task)[i]};
        if (list->element[i]->type == REDIS_REPLY_NIL)
            redis_settle_bury(b, &entry, "the entry was deleted");
    }
}

static void claimed(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    struct redis_task *task = redis_task_of(request);
    if (is_list(request, last)) {
        bury_deleted(b, task, last);
        b->backend.counters.recovered += last->elements;
        redis_read_keep(b, last, task->attempts, request->sent_ns);
    }
    end_claim(b, task, true);
}

static void claimed_dead(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    struct redis_task *task = redis_task_of(request);
    struct redis_entry entry;
    char reason[REDIS_REASON_SIZE];
    snprintf(reason, sizeof(reason), "delivered %lu times and never acknowledged",
             (unsigned long)task->attempts);
    if (is_list(request, last)) {
        bury_deleted(b, task, last);
        for (size_t i = 0; i < last->elements; i++)
            if (redis_entry_of(last->element[i], &entry))
                redis_settle_bury(b, &entry, reason);
    }
    end_claim(b, task, true);
}

static const struct redis_request_kind claim = {
    .loss = REDIS_LOSS_DROP, .finish = claimed, .lost = lost};
static const struct redis_request_kind claim_dead = {
    .loss = REDIS_LOSS_DROP, .finish = claimed_dead, .lost = lost};

/* The count that Redis keeps says how many attempts there were, for either owner. */
static void put_claim(struct redis_backend *b, struct redis_task *task, uint64_t min_idle_ns)
{
    struct buf *out = &task->request.bytes;
    bool dead = task->request.kind == &claim_dead;
    const struct delivery_id *ids = redis_task_ids(task);
    size_t count = redis_task_id_count(task);
    redis_command_start(out, 7 + count);
    redis_command_text(out, "XCLAIM");
    redis_command_text(out, b->stream);
    redis_command_text(out, b->group);
    redis_command_text(out, dead ? b->consumer : b->ahead_consumer);
    redis_command_number(out, min_idle_ns / NS_PER_MS);
    for (size_t i = 0; i < count; i++)
        redis_command_id(out, ids[i]);
    redis_command_text(out, "RETRYCOUNT");
    redis_command_number(out, (uint64_t)task->attempts + (dead ? 0 : 1));
    task->request.replies = 1;
    (void)redis_task_put(b, &b->work, task);
}

static void add_claimed(struct redis_backend *b, struct redis_task *task, struct delivery_id id)
{
    redis_task_add_id(task, id);
    redis_tell_take_back(b, id);
}

/* Claims of the lines those with as many attempts as the first has, and takes them out. */
static size_t claim_equals(struct redis_backend *b, struct redis_pending_line *lines, size_t count,
                           uint64_t min_idle_ns, bool finding)
{
    uint32_t attempts = lines[0].attempts;
    size_t left = 0;
    struct redis_task *task = redis_task_new(b, attempts >= b->max_retries ? &claim_dead : &claim);
    for (size_t i = 0; i < count; i++) {
        if (lines[i].attempts != attempts)
            lines[left++] = lines[i];
        else if (task)
            add_claimed(b, task, lines[i].id);
    }
    if (!task)
        return left; /* the next round finds them again */
    task->attempts = attempts;
    task->finding = finding;
    b->lost.requests += finding;
    put_claim(b, task, min_idle_ns);
    return left;
}

void redis_pending_claim(struct redis_backend *b, struct redis_pending_line *lines, size_t count,
                         uint64_t min_idle_ns, bool finding)
{
    while (count > 0)
        count = claim_equals(b, lines, count, min_idle_ns, finding);
}

/* --- what was idle for too long ------------------------------------------------------------- */

static void listed(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    struct redis_task *task = redis_task_of(request);
    struct redis_pending_line lines[REDIS_PAGE];
    size_t count = 0, room = task->added;
    b->pending.busy = false;
    if (request->error == REDIS_ERROR_OTHER)
        b->pending.no_idle = true;
    if (request->error == REDIS_ERROR_NO_GROUP)
        b->reading.group_missing = true;
    for (size_t i = 0; is_list(request, last) && i < last->elements && count < room; i++)
        if (redis_pending_parse(last->element[i], &lines[count]) &&
            lines[count].idle_ms >= b->claim_min_idle_ns / NS_PER_MS)
            count++;
    if (count == room)
        b->pending.next_ns = 0;
    redis_pending_claim(b, lines, count, b->claim_min_idle_ns, false);
    redis_task_end(b, task, 0);
}

static void not_listed(void *owner, struct redis_request *request)
{
    struct redis_backend *b = owner;
    b->pending.busy = false;
    redis_task_end(b, redis_task_of(request), 0);
}

static const struct redis_request_kind list = {
    .loss = REDIS_LOSS_DROP, .finish = listed, .lost = not_listed};

static void put_list(struct redis_backend *b, size_t room)
{
    struct redis_task *task = redis_task_new(b, &list);
    if (!task)
        return;
    struct buf *out = &task->request.bytes;
    redis_command_start(out, b->pending.no_idle ? 6 : 8);
    redis_command_text(out, "XPENDING");
    redis_command_text(out, b->stream);
    redis_command_text(out, b->group);
    if (!b->pending.no_idle) {
        redis_command_text(out, "IDLE");
        redis_command_number(out, b->claim_min_idle_ns / NS_PER_MS);
    }
    redis_command_text(out, "-");
    redis_command_text(out, "+");
    redis_command_number(out, b->pending.no_idle ? WHOLE_PAGE : room);
    task->request.replies = 1;
    task->added = room;
    b->pending.busy = redis_task_put(b, &b->work, task) < 0;
}

/* --- when ----------------------------------------------------------------------------------- */

static uint64_t period(const struct redis_backend *b)
{
    uint64_t quarter = b->claim_min_idle_ns / 4;
    if (quarter < PERIOD_LEAST_NS)
        return PERIOD_LEAST_NS;
    return quarter < PERIOD_MOST_NS ? quarter : PERIOD_MOST_NS;
}

static bool is_slow(const struct redis_backend *b)
{
    return b->reading.window < REDIS_PAGE / 8;
}

/* Who handles slowly takes over one at a time, and leaves the rest to others. */
static bool may_list(const struct redis_backend *b)
{
    return !b->pending.busy && !b->lost.any && redis_connection_is_ready(&b->work) &&
           (!is_slow(b) || b->ahead.count == 0);
}

void redis_pending_plan(struct redis_backend *b, uint64_t now)
{
    if (now < b->pending.next_ns ||
        !(b->reading.pulls || now < b->reading.pulled_ns + PERIOD_MOST_NS) || !may_list(b))
        return;
    b->pending.next_ns = now + period(b);
    put_list(b, is_slow(b) ? 1 : REDIS_PAGE);
}

uint64_t redis_pending_deadline(const struct redis_backend *b)
{
    return b->reading.pulls && may_list(b) ? b->pending.next_ns : UINT64_MAX;
}
