// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_private.h"

#include "common/clock.h"
#include "common/events/redis_command.h"

#include <errno.h>
#include <string.h>

#define AHEAD_NS     (20 * NS_PER_MS) /* what is fetched ahead lasts about so long */
#define BLOCK_MAX_NS (2 * NS_PER_S)
enum {
    WINDOW_FIRST = 8,
    WINDOW_BYTES = 4 * 1024 * 1024, /* of events fetched ahead, about */
    SKIP_MAX = 31
};

/* --- keeping what was fetched --------------------------------------------------------------- */

/* False: it is none, and goes to the dead letters, or memory is short, and it stays pending. */
static bool read_event(struct redis_backend *b, const struct redis_entry *entry,
                       struct redis_fetched *fetched)
{
    const char *reason = NULL;
    size_t bytes = 0;
    int error;
    fetched->id = entry->id;
    fetched->event = redis_entry_event(entry, &bytes, &reason, &error);
    if (!fetched->event && error == 0)
        redis_settle_bury(b, entry, reason);
    b->reading.entry_bytes += (bytes >> 3) - (b->reading.entry_bytes >> 3);
    return fetched->event != NULL;
}

static void keep_fetched(struct redis_backend *b, const struct redis_fetched *fetched)
{
    if (redis_ahead_insert(&b->ahead, fetched) < 0)
        event_release(fetched->event); /* pending, until somebody claims it */
}

void redis_read_keep(struct redis_backend *b, const redisReply *list, uint32_t attempts,
                     uint64_t owned_ns)
{
    struct redis_entry entry;
    for (size_t i = 0; list && i < list->elements; i++) {
        struct redis_fetched fetched = {.attempts = attempts, .owned_ns = owned_ns};
        if (redis_entry_of(list->element[i], &entry) && read_event(b, &entry, &fetched))
            keep_fetched(b, &fetched);
    }
}

static void note_seen(struct redis_backend *b, const redisReply *list)
{
    struct redis_entry last;
    if (!list || list->elements == 0 || !redis_entry_of(list->element[list->elements - 1], &last))
        return;
    if (redis_command_compare_ids(last.id, b->newest) > 0)
        b->newest = last.id;
}

/* --- answers to reads ----------------------------------------------------------------------- */

/* False: it is an error, which has been dealt with. */
static bool may_use(struct redis_backend *b, const struct redis_request *request)
{
    if (request->error == REDIS_ERROR_NO_GROUP)
        b->reading.group_missing = b->reading.ask = true;
    else if (request->error)
        redis_pull_fail(b, redis_error_number(request->error));
    return request->error == REDIS_ERROR_NONE;
}

static void read_direct(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    const redisReply *list = redis_entry_list(last);
    b->reading.direct = false;
    if (may_use(b, request)) {
        b->reading.ask = list != NULL;
        note_seen(b, list);
        if (list)
            redis_read_keep(b, list, 0, request->sent_ns);
        else
            redis_pull_end_polls(b, request->sent_ns);
    }
    redis_task_end(b, redis_task_of(request), 0);
}

static void read_ahead(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    const redisReply *list = redis_entry_list(last);
    struct redis_task *task = redis_task_of(request);
    b->reading.ahead = false;
    if (may_use(b, request)) {
        size_t got = list ? list->elements : 0;
        b->reading.ahead_full = got >= task->added;
        b->reading.skip_next = got ? 0 : 2 * b->reading.skip_next + 1;
        if (b->reading.skip_next > SKIP_MAX)
            b->reading.skip_next = SKIP_MAX;
        b->reading.skip = b->reading.skip_next;
        note_seen(b, list);
        redis_read_keep(b, list, 0, request->sent_ns);
    }
    redis_task_end(b, task, 0);
}

static void read_blocked(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    const redisReply *list = redis_entry_list(last);
    b->reading.blocked = false;
    if (may_use(b, request)) {
        note_seen(b, list);
        redis_read_keep(b, list, 0, clock_mono_ns());
    }
    redis_task_end(b, redis_task_of(request), 0);
}

static void lost_direct(void *owner, struct redis_request *request)
{
    struct redis_backend *b = owner;
    b->reading.direct = false;
    b->reading.ask = true;
    redis_lost_note(b);
    redis_task_end(b, redis_task_of(request), 0);
}

static void lost_ahead(void *owner, struct redis_request *request)
{
    struct redis_backend *b = owner;
    b->reading.ahead = false;
    redis_lost_note(b);
    redis_task_end(b, redis_task_of(request), 0);
}

static void lost_blocked(void *owner, struct redis_request *request)
{
    struct redis_backend *b = owner;
    b->reading.blocked = false;
    b->reading.ask = true;
    redis_lost_note(b);
    redis_task_end(b, redis_task_of(request), 0);
}

static void created(void *owner, struct redis_request *request, redisReply *last)
{
    bool there = last->type == REDIS_REPLY_ERROR && strncmp(last->str, "BUSYGROUP", 9) == 0;
    if (request->error && !there) /* somebody else may have been faster */
        redis_pull_fail(owner, redis_error_number(request->error));
    redis_task_end(owner, redis_task_of(request), 0);
}

static const struct redis_request_kind create = {.loss = REDIS_LOSS_REPEAT, .finish = created};
static const struct redis_request_kind direct = {
    .loss = REDIS_LOSS_DROP, .finish = read_direct, .lost = lost_direct};
static const struct redis_request_kind ahead = {
    .loss = REDIS_LOSS_DROP, .finish = read_ahead, .lost = lost_ahead};
static const struct redis_request_kind blocked = {
    .loss = REDIS_LOSS_DROP, .finish = read_blocked, .lost = lost_blocked};

/* --- asking --------------------------------------------------------------------------------- */

/* XGROUP CREATE from the beginning: what is not known to be acknowledged is delivered. */
static void make_group(struct redis_backend *b)
{
    struct redis_task *task = redis_task_new(b, &create);
    if (!task)
        return;
    redis_command_put(&task->request.bytes, "XGROUP", "CREATE", b->stream, b->group, "0",
                      "MKSTREAM", NULL);
    task->request.replies = 1;
    b->reading.group_missing = false;
    (void)redis_task_put(b, &b->work, task);
}

static bool put_read(struct redis_backend *b, const struct redis_request_kind *kind, size_t count,
                     uint64_t block_ns)
{
    struct redis_task *task = redis_task_new(b, kind);
    if (!task)
        return false;
    struct buf *out = &task->request.bytes;
    redis_command_start(out, block_ns ? 11 : 9);
    redis_command_text(out, "XREADGROUP");
    redis_command_text(out, "GROUP");
    redis_command_text(out, b->group);
    redis_command_text(out, b->ahead_consumer);
    redis_command_text(out, "COUNT");
    redis_command_number(out, count);
    if (block_ns) {
        redis_command_text(out, "BLOCK");
        redis_command_number(out, (block_ns + NS_PER_MS - 1) / NS_PER_MS);
        task->request.extra_ns = block_ns;
    }
    redis_command_text(out, "STREAMS");
    redis_command_text(out, b->stream);
    redis_command_text(out, ">");
    task->request.replies = 1;
    task->added = count;
    return redis_task_put(b, block_ns ? &b->wait : &b->work, task) == -EINPROGRESS;
}

/* As many as are handed out in a moment, so that slow consumers leave events to others. */
static size_t next_window(struct redis_backend *b, uint64_t now)
{
    struct redis_reading *r = &b->reading;
    uint64_t passed = now - r->window_ns + 1;
    uint64_t pace = r->handed * AHEAD_NS / passed;
    size_t window = r->ahead_full && r->window ? r->window * 2 : WINDOW_FIRST;
    size_t fits = WINDOW_BYTES / (r->entry_bytes * 2 + 64);
    r->handed = 0;
    r->window_ns = now;
    window = window < pace ? window : pace;
    window = window < fits ? window : fits;
    return window < b->read_ahead ? window : b->read_ahead;
}

static void plan_ahead(struct redis_backend *b, uint64_t now)
{
    struct redis_reading *r = &b->reading;
    if (r->ahead)
        return;
    r->window = next_window(b, now);
    r->ahead = r->window > 0 && put_read(b, &ahead, r->window, 0);
}

static void plan_blocked(struct redis_backend *b, uint64_t now)
{
    uint64_t until = 0;
    const struct backend_call *call;
    for (call = b->reading.pulls; call; call = call->next) {
        const struct pull_call *pull = (const struct pull_call *)call;
        if (pull->wait_ns > 0 && pull->until_ns > until)
            until = pull->until_ns;
    }
    if (until <= now)
        return;
    uint64_t block = until - now < BLOCK_MAX_NS ? until - now : BLOCK_MAX_NS;
    size_t count = b->reading.window ? b->reading.window : 1;
    b->reading.blocked = put_read(b, &blocked, count, block);
}

size_t redis_read_most(const struct pull_call *pull)
{
    return pull->room < REDIS_AT_ONCE ? pull->room : REDIS_AT_ONCE;
}

/* For a pull that finds nothing fetched. */
static void plan_direct(struct redis_backend *b, uint64_t now)
{
    struct redis_reading *r = &b->reading;
    const struct pull_call *pull = (const struct pull_call *)r->pulls;
    r->direct = put_read(b, &direct, redis_read_most(pull), 0);
    if (r->skip > 0)
        r->skip--;
    else
        plan_ahead(b, now);
}

/* What the other connection waits for comes first, or a later event could be handed out before it.
 * A poll does not wait. */
static bool may_overtake(const struct redis_backend *b)
{
    const struct backend_call *call = b->reading.blocked ? b->reading.pulls : NULL;
    while (call && ((const struct pull_call *)call)->wait_ns > 0)
        call = call->next;
    return !b->reading.blocked || call;
}

/* The connection that waits begins when the other has all its answers: an event may come over each,
 * and the later one could be handed out first. */
void redis_read_plan(struct redis_backend *b, uint64_t now)
{
    struct redis_reading *r = &b->reading;
    bool empty = b->ahead.count == 0;
    b->work.wanted = r->pulls != NULL;
    if (!redis_connection_is_ready(&b->work) || b->lost.any)
        return;
    if (r->group_missing && r->pulls)
        make_group(b);
    if (r->pulls && empty && !r->direct && r->ask && may_overtake(b))
        plan_direct(b, now);
    else if (r->pulls && empty && !r->direct && !r->ahead && !r->blocked)
        plan_blocked(b, now);
    else if (!empty && r->ahead_full && b->ahead.count <= r->window / 2)
        plan_ahead(b, now);
}
