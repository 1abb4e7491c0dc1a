// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_private.h"

#include "common/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

enum { BYTES_KEEP = 4096 /* of a spare task */ };

static void drop(void *owner, struct redis_request *request)
{
    redis_task_end(owner, redis_task_of(request), -ENOTCONN);
}

static void finish(void *owner, struct redis_request *request, redisReply *last)
{
    (void)last;
    redis_task_end(owner, redis_task_of(request), 0);
}

static void checked(void *owner, struct redis_request *request, redisReply *reply)
{
    (void)owner;
    (void)request;
    (void)reply;
}

/* Of whom nobody wants to know any more. */
static const struct redis_request_kind orphan = {
    .loss = REDIS_LOSS_DROP, .finish = finish, .lost = drop, .checked = checked};

struct redis_task *redis_task_new(struct redis_backend *b, const struct redis_request_kind *kind)
{
    struct redis_task *task = b->spare;
    if (task)
        LL_DELETE2(b->spare, task, all_next);
    else
        task = calloc(1, sizeof(*task));
    if (!task)
        return NULL;
    struct buf bytes = task->request.bytes, check = task->request.check, ids = task->ids;
    *task = (struct redis_task){.request = {.kind = kind, .bytes = bytes, .check = check},
                                .ids = ids,
                                .expires_ns = UINT64_MAX};
    DL_APPEND2(b->tasks, task, all_previous, all_next);
    return task;
}

static void retire(struct redis_backend *b, struct redis_task *task)
{
    DL_DELETE2(b->tasks, task, all_previous, all_next);
    if (b->acks == task)
        b->acks = NULL;
    buf_reset(&task->request.bytes, BYTES_KEEP);
    buf_reset(&task->request.check, BYTES_KEEP);
    buf_reset(&task->ids, BYTES_KEEP);
    LL_PREPEND2(b->spare, task, all_next);
}

/* A done() may forget calls that are still in the list. */
static void end_calls(struct redis_backend *b, struct redis_ending *ending, int result)
{
    ending->outer = b->endings;
    b->endings = ending;
    while (ending->calls) {
        struct backend_call *call = ending->calls;
        DL_DELETE2(ending->calls, call, previous, next);
        call->done(call, result);
    }
    b->endings = ending->outer;
}

static void take_calls(struct redis_task *task, struct redis_ending *ending)
{
    struct backend_call *call;
    DL_FOREACH2(task->calls, call, next)
    {
        call->backend_data = NULL;
    }
    DL_CONCAT2(ending->calls, task->calls, previous, next);
    task->calls = NULL;
}

void redis_task_end(struct redis_backend *b, struct redis_task *task, int result)
{
    struct redis_ending ending = {0};
    take_calls(task, &ending);
    retire(b, task);
    end_calls(b, &ending, result);
}

void redis_task_add_call(struct redis_backend *b, struct redis_task *task,
                         struct backend_call *call)
{
    uint64_t expires = call->deadline_ns ? call->deadline_ns : clock_mono_ns() + b->timeout_ns;
    call->backend_data = task;
    DL_APPEND2(task->calls, call, previous, next);
    if (expires < task->expires_ns)
        task->expires_ns = expires;
    if (expires < b->next_expiry_ns)
        b->next_expiry_ns = expires;
}

void redis_task_add_id(struct redis_task *task, struct delivery_id id)
{
    buf_append(&task->ids, &id, sizeof(id));
}

size_t redis_task_id_count(const struct redis_task *task)
{
    return task->ids.len / sizeof(struct delivery_id);
}

const struct delivery_id *redis_task_ids(const struct redis_task *task)
{
    return (const struct delivery_id *)task->ids.data;
}

int redis_task_put(struct redis_backend *b, struct redis_connection *c, struct redis_task *task)
{
    task->losses = c->lost;
    if (buf_ok(&task->request.bytes) && buf_ok(&task->ids)) {
        if (task->dead > 0)
            redis_connection_put_checked(c, &task->request);
        else
            redis_connection_put(c, &task->request);
        return -EINPROGRESS;
    }
    buf_free(&task->request.bytes);
    buf_free(&task->ids);
    redis_task_end(b, task, -ENOMEM);
    return -ENOMEM;
}

int redis_task_ask(struct redis_backend *b, struct redis_task *task, struct backend_call *call,
                   int result)
{
    if (result == 0 && (!buf_ok(&task->request.bytes) || !buf_ok(&task->ids)))
        result = -ENOMEM;
    if (result < 0) {
        buf_free(&task->request.bytes);
        buf_free(&task->ids);
        redis_task_end(b, task, 0);
        return result;
    }
    if (call)
        redis_task_add_call(b, task, call);
    return redis_task_put(b, &b->work, task);
}

void redis_task_abandon(struct redis_backend *b, struct redis_task *task)
{
    if (b->acks == task || redis_connection_take_back(&b->work, &task->request) ||
        redis_connection_take_back(&b->wait, &task->request))
        retire(b, task);
    else
        task->request.kind = &orphan;
}

void redis_task_forget(struct redis_backend *b, struct backend_call *call)
{
    struct redis_task *task = call->backend_data;
    struct backend_call *at;
    if (task) {
        DL_DELETE2(task->calls, call, previous, next);
        return;
    }
    for (struct redis_ending *ending = b->endings; ending; ending = ending->outer) {
        for (at = ending->calls; at && at != call; at = at->next)
            ;
        if (at)
            DL_DELETE2(ending->calls, call, previous, next);
    }
}

void redis_task_expire(struct redis_backend *b, uint64_t now)
{
    struct redis_task *task, *next;
    struct redis_ending ending = {0};
    if (now < b->next_expiry_ns)
        return;
    b->next_expiry_ns = UINT64_MAX;
    DL_FOREACH_SAFE2(b->tasks, task, next, all_next)
    {
        if (task->expires_ns > now) {
            if (task->expires_ns < b->next_expiry_ns)
                b->next_expiry_ns = task->expires_ns;
            continue;
        }
        take_calls(task, &ending);
        task->expires_ns = UINT64_MAX;
        redis_task_abandon(b, task);
    }
    end_calls(b, &ending, -ENOTCONN);
}

void redis_task_fail_all(struct redis_backend *b, int result)
{
    struct redis_task *task, *next;
    struct redis_ending ending = {0};
    DL_FOREACH_SAFE2(b->tasks, task, next, all_next)
    {
        if (!task->calls)
            continue;
        take_calls(task, &ending);
        task->expires_ns = UINT64_MAX;
        redis_task_abandon(b, task);
    }
    end_calls(b, &ending, result);
}

static void free_list(struct redis_task *list)
{
    while (list) {
        struct redis_task *next = list->all_next;
        buf_free(&list->request.bytes);
        buf_free(&list->request.check);
        buf_free(&list->ids);
        free(list);
        list = next;
    }
}

void redis_task_free_all(struct redis_backend *b)
{
    free_list(b->tasks);
    free_list(b->spare);
    b->tasks = b->spare = b->acks = NULL;
}
