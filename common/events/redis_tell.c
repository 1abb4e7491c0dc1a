// SPDX-License-Identifier: Apache-2.0
/*
 * redis_tell - telling Redis what is handed out, on a connection that it does not answer on;
 * redis_settle_tell() adds what is handled, redis_owner_return() what is given back.
 *
 * A server that fails to write an answer forgets what it has not read yet of that client. So what
 * a process tells it just before it is killed is only sure to be read where no answer is ever
 * written: CLIENT REPLY OFF, on a connection of its own. Nothing is ever heard of it, not even that
 * all is refused there; so it is given up with the connection for work, which hears it. The latest
 * ids are kept, for when it is lost: what Redis then has as fetched ahead still, it is told again
 * (redis_lost.c).
 *
 * Where the server does not allow it, it is told on the connection for work.
 */
#include "common/events/redis_private.h"

#include <errno.h>

#include "common/clock.h"
#include "common/events/redis_command.h"

static bool put_reply(struct redis_backend *b, const char *mode, unsigned replies);

static void asked(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    bool answered = last != NULL;
    redis_task_end(b, redis_task_of(request), 0);
    if (!answered)
        return;
    b->touched = true;
    if (last->type == REDIS_REPLY_ERROR)
        b->tell.state = REDIS_TELL_REFUSED;
    else
        b->tell.state = put_reply(b, "OFF", 0) ? REDIS_TELL_SILENT : REDIS_TELL_NEW;
}

static void not_asked(void *owner, struct redis_request *request)
{
    redis_task_end(owner, redis_task_of(request), 0);
}

static const struct redis_request_kind reply_mode = {
    .loss = REDIS_LOSS_DROP, .finish = asked, .lost = not_asked};

/* CLIENT REPLY ON is answered: so it is known whether OFF is allowed, which is not. False: memory
 * is short. */
static bool put_reply(struct redis_backend *b, const char *mode, unsigned replies)
{
    struct redis_task *task = redis_task_new(b, &reply_mode);
    if (!task)
        return false;
    redis_command_put(&task->request.bytes, "CLIENT", "REPLY", mode, NULL);
    task->request.replies = replies;
    return redis_task_put(b, &b->tell.connection, task) != -ENOMEM;
}

void redis_tell_plan(struct redis_backend *b)
{
    struct redis_tell *tell = &b->tell;
    tell->connection.wanted = b->reading.pulls && tell->state != REDIS_TELL_REFUSED;
    if (tell->state == REDIS_TELL_REFUSED)
        redis_tell_hang_up(b);
    if (tell->state == REDIS_TELL_NEW && redis_connection_is_ready(&tell->connection) &&
        put_reply(b, "ON", 1))
        tell->state = REDIS_TELL_ASKED;
}

void redis_tell_hang_up(struct redis_backend *b)
{
    if (b->tell.connection.state > REDIS_CONNECTION_PAUSED)
        redis_connection_drop(&b->tell.connection, clock_mono_ns(), NULL);
}

bool redis_tell_may(const struct redis_backend *b)
{
    return b->tell.state == REDIS_TELL_SILENT && redis_connection_is_clear(&b->tell.connection);
}

bool redis_tell_is_coming(const struct redis_backend *b)
{
    return b->tell.state < REDIS_TELL_SILENT && b->tell.connection.failures == 0;
}

bool redis_tell_hand_over(struct redis_backend *b, size_t count, uint64_t now)
{
    uint64_t losses = b->tell.connection.lost;
    if (!redis_owner_tell(b, count))
        return false;
    redis_connection_flush(&b->tell.connection, now);
    if (b->tell.connection.lost != losses)
        return false; /* they are still those fetched, whoever Redis takes for their owner */
    for (size_t i = 0; i < count; i++)
        b->tell.told[b->tell.next++ % REDIS_TOLD] = redis_ahead_at(&b->ahead, i)->id;
    return true;
}

static struct delivery_id *find(struct redis_backend *b, struct delivery_id id)
{
    for (size_t i = 0; i < REDIS_TOLD; i++)
        if (redis_command_compare_ids(b->tell.told[i], id) == 0)
            return &b->tell.told[i];
    return NULL;
}

bool redis_tell_has_told(struct redis_backend *b, struct delivery_id id)
{
    return find(b, id) != NULL;
}

bool redis_tell_take_back(struct redis_backend *b, struct delivery_id id)
{
    struct delivery_id *told = find(b, id);
    if (told)
        *told = (struct delivery_id){0};
    return told != NULL;
}

/* The next connection is answered at first. */
static void drop_waiting(struct redis_backend *b)
{
    struct redis_request *request;
    while ((request = b->tell.connection.waiting)) {
        redis_connection_take_back(&b->tell.connection, request);
        redis_task_end(b, redis_task_of(request), 0);
    }
}

/* It may have been read or not, and must not be read later. */
void redis_tell_note_loss(struct redis_backend *b)
{
    bool was_silent = b->tell.state == REDIS_TELL_SILENT;
    bool is_loud = was_silent && b->tell.connection.unasked;
    drop_waiting(b);
    if (b->tell.state != REDIS_TELL_REFUSED)
        b->tell.state = is_loud ? REDIS_TELL_REFUSED : REDIS_TELL_NEW;
    if (!was_silent || b->tell.next == 0)
        return;
    redis_lost_note(b);
}
