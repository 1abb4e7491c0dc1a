// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_private.h"

#include <errno.h>

#include "common/events/redis_command.h"

enum { PAGE = 1000 /* more than are ever read ahead */ };

void redis_lost_note(struct redis_backend *b, bool direct, struct delivery_id seen)
{
    if (direct && !b->lost.direct) {
        b->lost.direct = true;
        b->lost.seen = seen;
    }
    b->lost.any = b->touched = true;
}

void redis_lost_step(struct redis_backend *b, bool done)
{
    struct redis_lost_state *lost = &b->lost;
    lost->failed |= !done;
    if (--lost->requests > 0)
        return;
    if (!lost->failed)
        lost->any = lost->direct = false;
    lost->failed = false;
    b->touched = true;
}

static bool is_here(const struct redis_backend *b, struct delivery_id id)
{
    const struct redis_fetched *fetched;
    for (size_t i = 0; (fetched = redis_ahead_at(&b->ahead, i)); i++)
        if (redis_command_compare_ids(fetched->id, id) == 0)
            return true;
    return false;
}

/* What was read in the name of the consumer counts one attempt that was none. */
static void found(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    struct redis_task *task = redis_task_of(request);
    struct redis_pending_line lines[PAGE];
    size_t count = 0;
    bool listed = !request->error && last->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; listed && i < last->elements && count < PAGE; i++) {
        if (!redis_pending_parse(last->element[i], &lines[count]) || is_here(b, lines[count].id))
            continue;
        if (task->own && lines[count].attempts > 0)
            lines[count].attempts--;
        count++;
    }
    if (request->error == REDIS_ERROR_NO_GROUP)
        b->reading.group_missing = true;
    redis_pending_claim(b, lines, count, 0, true);
    redis_lost_step(b, true);
    redis_task_end(b, task, 0);
}

static void lost_again(void *owner, struct redis_request *request)
{
    redis_lost_step(owner, false);
    redis_task_end(owner, redis_task_of(request), 0);
}

static const struct redis_request_kind find = {
    .loss = REDIS_LOSS_DROP, .finish = found, .lost = lost_again};

static void put_find(struct redis_backend *b, const char *consumer, struct delivery_id from)
{
    struct redis_task *task = redis_task_new(b, &find);
    if (!task)
        return;
    struct buf *out = &task->request.bytes;
    redis_command_start(out, 7);
    redis_command_text(out, "XPENDING");
    redis_command_text(out, b->stream);
    redis_command_text(out, b->group);
    redis_command_id(out, from);
    redis_command_text(out, "+");
    redis_command_number(out, PAGE);
    redis_command_text(out, consumer);
    task->request.replies = 1;
    task->own = consumer == b->consumer;
    if (redis_task_put(b, &b->work, task) != -ENOMEM)
        b->lost.requests++;
}

/* What the other connection is just given would be found, too. */
static void give_up_waiting(struct redis_backend *b, uint64_t now)
{
    if (b->wait.state <= REDIS_CONNECTION_PAUSED)
        return;
    redis_backend_end_wait(b);
    redis_connection_drop(&b->wait, now, "given up, for an answer was lost");
}

void redis_lost_plan(struct redis_backend *b, uint64_t now)
{
    if (!b->lost.any || b->lost.requests > 0 || !redis_connection_is_ready(&b->work))
        return;
    give_up_waiting(b, now);
    if (b->lost.direct)
        put_find(b, b->consumer, (struct delivery_id){b->lost.seen.high, b->lost.seen.low + 1});
    put_find(b, b->ahead_consumer, (struct delivery_id){0});
    if (b->lost.requests == 0)
        b->lost.any = false; /* memory is short: they come when they were idle for long enough */
}
