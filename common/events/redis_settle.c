// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_private.h"

#include "common/clock.h"
#include "common/events/event_json.h"
#include "common/events/redis_command.h"

#include <errno.h>
#include <stdio.h>

enum {
    CHECK_PAGE = 500,     /* entries looked through at a time for one of ours, */
    CHECK_PAGES_MAX = 20, /* and how often, before it is added (perhaps again) */
    ACKS_MAX = 512        /* acknowledgements in one command */
};

/* --- what became of it ---------------------------------------------------------------------- */

static void note_newest(struct redis_backend *b, const redisReply *reply)
{
    struct delivery_id id;
    if ((reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) &&
        redis_command_parse_id((struct span){reply->str, reply->len}, &id) &&
        redis_command_compare_ids(id, b->newest) > 0)
        b->newest = id;
}

/* The first error of a transaction, also among its results. */
static enum redis_error error_of(struct redis_backend *b, struct redis_task *task,
                                 const redisReply *last)
{
    enum redis_error error = task->request.error;
    if (error || !last)
        return error;
    if (last->type != REDIS_REPLY_ARRAY) {
        note_newest(b, last);
        return error;
    }
    for (size_t i = 0; i < last->elements; i++) {
        const redisReply *result = last->element[i];
        if (result->type != REDIS_REPLY_ERROR) {
            if (task->dead == 0)
                note_newest(b, result);
            continue;
        }
        snprintf(b->error, sizeof(b->error), "Redis: %s", result->str);
        error = error ? error : redis_error_of((struct span){result->str, result->len});
    }
    return error;
}

static void finish(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    struct redis_task *task = redis_task_of(request);
    enum redis_error error = error_of(b, task, last);
    if (!error) {
        b->backend.counters.enqueued += task->added;
        b->backend.counters.dead_lettered += task->dead;
        b->backend.counters.failed += task->dead;
        b->backend.counters.acked += task->dead ? 0 : redis_task_id_count(task);
    }
    redis_task_end(b, task, redis_error_number(error));
}

/* --- was it added? -------------------------------------------------------------------------- */

static void look_for_event(void *owner, struct redis_request *request)
{
    struct redis_backend *b = owner;
    struct redis_task *task = redis_task_of(request);
    struct buf *out = &request->check;
    struct delivery_id first = {task->after.high, task->after.low + 1};
    redis_command_start(out, 6);
    redis_command_text(out, "XREVRANGE");
    redis_command_text(out, b->stream);
    if (task->before.high || task->before.low)
        redis_command_id(out, task->before);
    else
        redis_command_text(out, "+");
    redis_command_id(out, first);
    redis_command_text(out, "COUNT");
    redis_command_number(out, CHECK_PAGE);
    request->check_replies = 1;
}

static void look_from_the_end(void *owner, struct redis_request *request)
{
    struct redis_task *task = redis_task_of(request);
    task->before = (struct delivery_id){0};
    task->pages = 0;
    look_for_event(owner, request);
}

/* event_json.h begins with the id. */
static bool is_ours(const struct redis_task *task, const redisReply *element)
{
    struct redis_entry entry;
    char begin[8 + EVENT_ID_TEXT_SIZE] = "{\"id\":\"";
    if (!redis_entry_of(element, &entry) || !entry.fields || entry.fields->elements != 2)
        return false;
    const redisReply *value = entry.fields->element[1];
    event_id_text(task->event_id, begin + strlen(begin));
    return value->type == REDIS_REPLY_STRING && value->len > strlen(begin) &&
           memcmp(value->str, begin, strlen(begin)) == 0;
}

static struct delivery_id just_before(struct delivery_id id)
{
    if (id.low > 0)
        return (struct delivery_id){id.high, id.low - 1};
    return (struct delivery_id){id.high - 1, UINT64_MAX};
}

static void looked_for_event(void *owner, struct redis_request *request, redisReply *reply)
{
    struct redis_task *task = redis_task_of(request);
    struct redis_entry last;
    size_t count = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
    for (size_t i = 0; i < count; i++)
        if (is_ours(task, reply->element[i]))
            return;
    request->verdict = REDIS_SEND_AGAIN;
    if (count < CHECK_PAGE || ++task->pages >= CHECK_PAGES_MAX ||
        !redis_entry_of(reply->element[count - 1], &last) || last.id.high == 0)
        return;
    task->before = just_before(last.id);
    buf_reset(&request->check, SIZE_MAX);
    look_for_event(owner, request);
    request->verdict = REDIS_ASK_MORE;
}

static const struct redis_request_kind publish = {.loss = REDIS_LOSS_CHECK,
                                                  .finish = finish,
                                                  .check = look_from_the_end,
                                                  .checked = looked_for_event};

/* --- was it acknowledged? ------------------------------------------------------------------- */

static void look_for_pending(void *owner, struct redis_request *request)
{
    struct redis_backend *b = owner;
    struct redis_task *task = redis_task_of(request);
    const struct delivery_id *ids = redis_task_ids(task);
    request->check_replies = (unsigned)redis_task_id_count(task);
    for (size_t i = 0; i < request->check_replies; i++) {
        redis_command_start(&request->check, 6);
        redis_command_text(&request->check, "XPENDING");
        redis_command_text(&request->check, b->stream);
        redis_command_text(&request->check, b->group);
        redis_command_id(&request->check, ids[i]);
        redis_command_id(&request->check, ids[i]);
        redis_command_number(&request->check, 1);
    }
}

/* Pending is what nobody acknowledged. What was acknowledged by somebody else needs no second
 * result; without a group nothing was executed, for that comes after the loss of all. */
static void looked_for_pending(void *owner, struct redis_request *request, redisReply *reply)
{
    (void)owner;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements > 0)
        request->verdict = REDIS_SEND_AGAIN;
}

static const struct redis_request_kind settle = {.loss = REDIS_LOSS_CHECK,
                                                 .finish = finish,
                                                 .check = look_for_pending,
                                                 .checked = looked_for_pending};

/* The dead letters may be a key of another kind, which a transaction would only show after the
 * event is gone from the pending ones. */
static void look_for_dead_letters(void *owner, struct redis_request *request)
{
    struct redis_backend *b = owner;
    if (redis_task_of(request)->looked) {
        look_for_pending(owner, request);
        return;
    }
    redis_command_put(&request->check, "XLEN", b->dead_letters, NULL);
    request->check_replies = 1;
}

static void looked_for_dead_letters(void *owner, struct redis_request *request, redisReply *reply)
{
    struct redis_task *task = redis_task_of(request);
    if (task->looked) {
        looked_for_pending(owner, request, reply);
        return;
    }
    task->looked = reply->type != REDIS_REPLY_ERROR;
    request->verdict = task->looked ? REDIS_SEND_AGAIN : REDIS_REFUSED;
}

static const struct redis_request_kind bury = {.loss = REDIS_LOSS_CHECK,
                                               .finish = finish,
                                               .check = look_for_dead_letters,
                                               .checked = looked_for_dead_letters};

/* To acknowledge twice is as good as once. */
static const struct redis_request_kind acknowledge = {.loss = REDIS_LOSS_REPEAT, .finish = finish};

/* Where nothing is answered. */
static void unheard(void *owner, struct redis_request *request, redisReply *last)
{
    (void)last;
    redis_task_end(owner, redis_task_of(request), 0);
}

static const struct redis_request_kind tell = {.loss = REDIS_LOSS_DROP, .finish = unheard};

/* --- building it ---------------------------------------------------------------------------- */

static int add_events(struct redis_backend *b, struct redis_task *task, struct event *const *events,
                      size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = redis_entry_put_event(&task->request.bytes, b->stream, events[i], &b->scratch);
    task->added = count;
    return result;
}

static void put_xack(struct redis_backend *b, struct redis_task *task)
{
    const struct delivery_id *ids = redis_task_ids(task);
    size_t count = redis_task_id_count(task);
    redis_command_start(&task->request.bytes, 3 + count);
    redis_command_text(&task->request.bytes, "XACK");
    redis_command_text(&task->request.bytes, b->stream);
    redis_command_text(&task->request.bytes, b->group);
    for (size_t i = 0; i < count; i++)
        redis_command_id(&task->request.bytes, ids[i]);
}

static void begin(struct redis_task *task)
{
    redis_command_put(&task->request.bytes, "MULTI", NULL);
}

/* MULTI and EXEC answer too, and so does the acknowledgement. */
static void end(struct redis_backend *b, struct redis_task *task, size_t additions)
{
    task->request.replies = (unsigned)additions + 2;
    if (redis_task_id_count(task) > 0) {
        put_xack(b, task);
        task->request.replies++;
    }
    redis_command_put(&task->request.bytes, "EXEC", NULL);
}

int redis_settle_enqueue(struct redis_backend *b, struct event *const *events, size_t count,
                         struct backend_call *call)
{
    if (count == 0)
        return 0;
    struct redis_task *task = redis_task_new(b, &publish);
    if (!task)
        return -ENOMEM;
    task->after = b->newest;
    memcpy(task->event_id, events[0]->id, sizeof(task->event_id));
    if (count > 1)
        begin(task);
    int result = add_events(b, task, events, count);
    task->request.replies = 1;
    if (count > 1)
        end(b, task, count);
    return redis_task_ask(b, task, call, result);
}

/* One with a deadline of its own goes alone: its end would be the others' too. */
static int ack_alone(struct redis_backend *b, const struct delivery *handled, size_t count,
                     struct backend_call *call)
{
    redis_settle_flush(b);
    struct redis_task *task = redis_task_new(b, &acknowledge);
    if (!task)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        redis_task_add_id(task, handled[i].id);
    put_xack(b, task);
    task->request.replies = 1;
    return redis_task_ask(b, task, call, 0);
}

static int gather_ack(struct redis_backend *b, const struct delivery *handled, size_t count,
                      struct backend_call *call)
{
    if (b->acks && redis_task_id_count(b->acks) >= ACKS_MAX)
        redis_settle_flush(b);
    if (!b->acks)
        b->acks = redis_task_new(b, &acknowledge);
    if (!b->acks)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        redis_task_add_id(b->acks, handled[i].id);
    redis_task_add_call(b, b->acks, call);
    return -EINPROGRESS;
}

void redis_settle_flush(struct redis_backend *b)
{
    struct redis_task *task = b->acks;
    if (!task)
        return;
    b->acks = NULL;
    /* A handler may have taken long since they were gathered. */
    task->expires_ns = clock_mono_ns() + b->timeout_ns;
    put_xack(b, task);
    task->request.replies = 1;
    (void)redis_task_put(b, &b->work, task); /* its calls are told */
}

void redis_settle_tell(struct redis_backend *b)
{
    struct redis_task *acks = b->acks;
    size_t count = acks ? redis_task_id_count(acks) : 0;
    struct redis_task *task = acks && acks->told < count ? redis_task_new(b, &tell) : NULL;
    if (!task)
        return;
    for (; acks->told < count; acks->told++)
        redis_task_add_id(task, redis_task_ids(acks)[acks->told]);
    put_xack(b, task);
    task->request.replies = 0;
    (void)redis_task_put(b, &b->tell.connection, task);
}

int redis_settle_ack(struct redis_backend *b, const struct delivery *handled, size_t count,
                     struct event *const *emitted, size_t emitted_count, struct backend_call *call)
{
    for (size_t i = 0; i < count; i++)
        redis_ahead_remove(&b->ahead, handled[i].id);
    if (count == 0)
        return redis_settle_enqueue(b, emitted, emitted_count, call);
    if (emitted_count == 0)
        return call->deadline_ns ? ack_alone(b, handled, count, call)
                                 : gather_ack(b, handled, count, call);
    struct redis_task *task = redis_task_new(b, &settle);
    if (!task)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        redis_task_add_id(task, handled[i].id);
    begin(task);
    int result = add_events(b, task, emitted, emitted_count);
    end(b, task, emitted_count);
    return redis_task_ask(b, task, call, result);
}

/* --- dead letters --------------------------------------------------------------------------- */

int redis_settle_nack(struct redis_backend *b, const struct delivery *refused, size_t count,
                      const char *reason, struct backend_call *call)
{
    int result = 0;
    if (count == 0)
        return 0;
    struct redis_task *task = redis_task_new(b, &bury);
    if (!task)
        return -ENOMEM;
    begin(task);
    for (size_t i = 0; i < count && result == 0; i++) {
        redis_ahead_remove(&b->ahead, refused[i].id);
        redis_task_add_id(task, refused[i].id);
        buf_reset(&b->scratch, SIZE_MAX);
        result = event_json_write(&b->scratch, refused[i].event);
        if (result == 0 && !buf_ok(&b->scratch))
            result = -ENOMEM;
        redis_entry_put_dead(&task->request.bytes, b->dead_letters, refused[i].id,
                             (struct span){b->scratch.data, b->scratch.len},
                             reason ? reason : "refused");
    }
    task->dead = count;
    end(b, task, count);
    return redis_task_ask(b, task, call, result);
}

void redis_settle_bury(struct redis_backend *b, const struct redis_entry *entry, const char *reason)
{
    struct redis_task *task = redis_task_new(b, &bury);
    if (!task)
        return; /* it stays pending, and is buried another time */
    redis_task_add_id(task, entry->id);
    buf_reset(&b->scratch, SIZE_MAX);
    redis_entry_text(entry, &b->scratch);
    begin(task);
    redis_entry_put_dead(&task->request.bytes, b->dead_letters, entry->id,
                         (struct span){b->scratch.data, b->scratch.len}, reason);
    task->dead = 1;
    end(b, task, 1);
    (void)redis_task_ask(b, task, NULL, buf_ok(&b->scratch) ? 0 : -ENOMEM);
}
