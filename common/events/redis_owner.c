// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_private.h"

#include <errno.h>

#include "common/clock.h"
#include "common/events/redis_command.h"

static void finish(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    (void)last;
    if (request->error == REDIS_ERROR_NO_GROUP)
        b->reading.group_missing = true;
    redis_task_end(b, redis_task_of(request), 0);
}

static void lost(void *owner, struct redis_request *request)
{
    redis_task_end(owner, redis_task_of(request), 0);
}

/* Is it ours still? What somebody else has claimed meanwhile is left to him. */
static void look_for_owner(void *owner, struct redis_request *request)
{
    struct redis_backend *b = owner;
    struct redis_task *task = redis_task_of(request);
    const struct delivery_id *ids = redis_task_ids(task);
    struct buf *out = &request->check;
    request->check_replies = (unsigned)redis_task_id_count(task);
    for (size_t i = 0; i < request->check_replies; i++) {
        redis_command_start(out, 7);
        redis_command_text(out, "XPENDING");
        redis_command_text(out, b->stream);
        redis_command_text(out, b->group);
        redis_command_id(out, ids[i]);
        redis_command_id(out, ids[i]);
        redis_command_number(out, 1);
        redis_command_text(out, b->ahead_consumer);
    }
}

static void looked_for_owner(void *owner, struct redis_request *request, redisReply *reply)
{
    (void)owner;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
        request->verdict = REDIS_SEND_AGAIN;
}

static void refreshed(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    struct delivery_id id;
    size_t at = 0;
    b->refreshing = false;
    for (size_t i = 0; last->type == REDIS_REPLY_ARRAY && i < last->elements; i++) {
        const redisReply *text = last->element[i];
        if (text->type != REDIS_REPLY_STRING ||
            !redis_command_parse_id((struct span){text->str, text->len}, &id))
            continue;
        for (size_t k = at; k < b->ahead.count; k++) {
            struct redis_fetched *fetched = redis_ahead_at(&b->ahead, k);
            if (redis_command_compare_ids(fetched->id, id) == 0) {
                fetched->owned_ns = request->sent_ns;
                at = k + 1;
                break;
            }
        }
    }
    finish(owner, request, last);
}

static void not_refreshed(void *owner, struct redis_request *request)
{
    struct redis_backend *b = owner;
    b->refreshing = false;
    lost(owner, request);
}

static const struct redis_request_kind to_handler = {.loss = REDIS_LOSS_CHECK,
                                                     .finish = finish,
                                                     .check = look_for_owner,
                                                     .checked = looked_for_owner};
static const struct redis_request_kind to_ahead = {
    .loss = REDIS_LOSS_DROP, .finish = finish, .lost = lost};
static const struct redis_request_kind refresh = {
    .loss = REDIS_LOSS_DROP, .finish = refreshed, .lost = not_refreshed};
/* Has no answer. */
static const struct redis_request_kind told = {
    .loss = REDIS_LOSS_DROP, .finish = finish, .lost = lost};

/* XCLAIM of what is ours, which changes nobody's count. With for_others it has been idle for so
 * long that others may claim it. */
static bool put_claim(struct redis_backend *b, struct redis_task *task, const char *consumer,
                      bool for_others)
{
    bool unheard = task->request.kind == &told;
    struct buf *out = &task->request.bytes;
    const struct delivery_id *ids = redis_task_ids(task);
    size_t count = redis_task_id_count(task);
    redis_command_start(out, 6 + count + (for_others ? 2 : 0));
    redis_command_text(out, "XCLAIM");
    redis_command_text(out, b->stream);
    redis_command_text(out, b->group);
    redis_command_text(out, consumer);
    redis_command_text(out, "0");
    for (size_t i = 0; i < count; i++)
        redis_command_id(out, ids[i]);
    if (for_others) {
        redis_command_text(out, "IDLE");
        redis_command_number(out, (b->claim_min_idle_ns + NS_PER_MS - 1) / NS_PER_MS);
    }
    redis_command_text(out, "JUSTID");
    task->request.replies = unheard ? 0 : 1;
    return redis_task_put(b, unheard ? &b->tell.connection : &b->work, task) != -ENOMEM;
}

static struct redis_task *with_first(struct redis_backend *b, const struct redis_request_kind *kind,
                                     size_t count)
{
    struct redis_task *task = redis_task_new(b, kind);
    for (size_t i = 0; task && i < count; i++)
        redis_task_add_id(task, redis_ahead_at(&b->ahead, i)->id);
    return task;
}

struct redis_task *redis_owner_hand_over(struct redis_backend *b, size_t count)
{
    struct redis_task *task = with_first(b, &to_handler, count);
    return task && put_claim(b, task, b->consumer, false) ? task : NULL;
}

bool redis_owner_tell(struct redis_backend *b, size_t count)
{
    struct redis_task *task = with_first(b, &told, count);
    return task && put_claim(b, task, b->consumer, false);
}

void redis_owner_tell_again(struct redis_backend *b, const struct delivery_id *ids, size_t count)
{
    struct redis_task *task = count > 0 ? redis_task_new(b, &to_handler) : NULL;
    for (size_t i = 0; task && i < count; i++)
        redis_task_add_id(task, ids[i]);
    if (task)
        put_claim(b, task, b->consumer, false);
}

struct redis_task *redis_owner_begin_return(struct redis_backend *b)
{
    return redis_task_new(b, &to_ahead);
}

void redis_owner_return(struct redis_backend *b, struct redis_task *task, bool was_told)
{
    if (was_told && redis_tell_may(b))
        task->request.kind = &told;
    put_claim(b, task, b->ahead_consumer, false);
}

static bool claim_all(struct redis_backend *b, const struct redis_request_kind *kind,
                      bool for_others)
{
    struct redis_task *task = b->ahead.count > 0 ? with_first(b, kind, b->ahead.count) : NULL;
    return task && put_claim(b, task, b->ahead_consumer, for_others);
}

void redis_owner_refresh(struct redis_backend *b)
{
    if (!b->refreshing)
        b->refreshing = claim_all(b, &refresh, false);
}

void redis_owner_release(struct redis_backend *b)
{
    /* Then nothing comes after it; what was given back is told there before it. */
    bool last = b->closing && !b->refreshing && redis_tell_may(b);
    claim_all(b, last ? &told : &to_ahead, true);
    redis_ahead_clear(&b->ahead);
}
