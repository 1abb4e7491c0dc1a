// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_private.h"

#include <errno.h>

#include "common/events/redis_command.h"

enum { PAGE = 1000 /* the others come when they were idle for long enough */ };

void redis_lost_note(struct redis_backend *b)
{
    b->lost.any = b->touched = true;
}

void redis_lost_step(struct redis_backend *b, bool done)
{
    struct redis_lost_state *lost = &b->lost;
    lost->failed |= !done;
    if (--lost->requests > 0)
        return;
    if (!lost->failed)
        lost->any = false;
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

/* Those fetched ahead: what was handed out is told once more, what nobody has is claimed. */
static void found(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    struct redis_task *task = redis_task_of(request);
    struct redis_pending_line lines[PAGE];
    struct delivery_id told[PAGE];
    size_t count = 0, told_count = 0;
    bool listed = !request->error && last->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; listed && i < last->elements && count + told_count < PAGE; i++) {
        if (!redis_pending_parse(last->element[i], &lines[count]) || is_here(b, lines[count].id))
            continue;
        if (redis_tell_has_told(b, lines[count].id))
            told[told_count++] = lines[count].id;
        else
            count++;
    }
    if (request->error == REDIS_ERROR_NO_GROUP)
        b->reading.group_missing = true;
    redis_owner_tell_again(b, told, told_count);
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

static void put_find(struct redis_backend *b)
{
    struct redis_task *task = redis_task_new(b, &find);
    if (!task)
        return;
    struct buf *out = &task->request.bytes;
    redis_command_start(out, 7);
    redis_command_text(out, "XPENDING");
    redis_command_text(out, b->stream);
    redis_command_text(out, b->group);
    redis_command_text(out, "-");
    redis_command_text(out, "+");
    redis_command_number(out, PAGE);
    redis_command_text(out, b->ahead_consumer);
    task->request.replies = 1;
    if (redis_task_put(b, &b->work, task) != -ENOMEM)
        b->lost.requests++;
}

/* What the other connection is just given would be found, too. */
static void give_up_waiting(struct redis_backend *b, uint64_t now)
{
    if (b->wait.state <= REDIS_CONNECTION_PAUSED)
        return;
    redis_backend_end_connection(b, b->wait.id, b->wait.run);
    redis_connection_drop(&b->wait, now, "given up, for an answer was lost");
}

/* What was told on a connection that was lost must not be read later. */
static void end_told(struct redis_backend *b)
{
    const struct redis_connection *c = &b->tell.connection;
    redis_backend_end_connection(b, c->lost_id, c->lost_run);
}

void redis_lost_plan(struct redis_backend *b, uint64_t now)
{
    if (!b->lost.any || b->lost.requests > 0 || !redis_connection_is_ready(&b->work))
        return;
    give_up_waiting(b, now);
    end_told(b);
    put_find(b);
    if (b->lost.requests == 0)
        b->lost.any = false; /* memory is short: they come when they were idle for long enough */
}
