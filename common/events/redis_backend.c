// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_backend.h"

#include "common/clock.h"
#include "common/events/redis_command.h"
#include "common/events/redis_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <utlist.h>

#define TIMEOUT_NS (5 * NS_PER_S)
enum { READ_AHEAD = 512 };

/* --- health --------------------------------------------------------------------------------- */

static void finish_health(void *owner, struct redis_request *request, redisReply *last)
{
    struct redis_backend *b = owner;
    struct redis_task *task = redis_task_of(request);
    struct health_call *call = (struct health_call *)task->calls;
    if (call && !request->error)
        call->health = (struct backend_health){
            .healthy = true,
            .latency_ns = clock_mono_ns() - request->sent_ns,
            .waiting = last->type == REDIS_REPLY_INTEGER ? (uint64_t)last->integer : 0};
    redis_task_end(b, task, redis_error_number(request->error));
}

static void lost_health(void *owner, struct redis_request *request)
{
    redis_task_end(owner, redis_task_of(request), -ENOTCONN);
}

static const struct redis_request_kind health = {
    .loss = REDIS_LOSS_DROP, .finish = finish_health, .lost = lost_health};

/* One that waits for a connection has its answer when an attempt failed. */
static void end_unhealthy(struct redis_backend *b)
{
    struct redis_task *task, *next;
    DL_FOREACH_SAFE2(b->tasks, task, next, all_next)
    {
        if (task->request.kind == &health && b->work.lost > task->losses &&
            redis_connection_take_back(&b->work, &task->request)) {
            redis_task_end(b, task, -ENOTCONN);
            return; /* the list may be another one now */
        }
    }
}

static int ask_health(struct backend *backend, struct health_call *call)
{
    struct redis_backend *b = redis_backend_of(backend);
    struct redis_task *task = b->closing ? NULL : redis_task_new(b, &health);
    call->health = (struct backend_health){.error = b->error};
    if (!task)
        return b->closing ? -ESHUTDOWN : -ENOMEM;
    redis_command_put(&task->request.bytes, "PING", NULL);
    redis_command_put(&task->request.bytes, "XLEN", b->stream, NULL);
    task->request.replies = 2;
    b->touched = true;
    return redis_task_ask(b, task, &call->call, 0);
}

/* --- delete --------------------------------------------------------------------------------- */

static void finish_delete(void *owner, struct redis_request *request, redisReply *last)
{
    (void)last;
    redis_task_end(owner, redis_task_of(request), redis_error_number(request->error));
}

static const struct redis_request_kind delete = {.loss = REDIS_LOSS_REPEAT,
                                                 .finish = finish_delete};

int redis_backend_delete(struct backend *backend, const char *stream, struct backend_call *call)
{
    struct redis_backend *b = redis_backend_of(backend);
    struct redis_task *task = b->closing ? NULL : redis_task_new(b, &delete);
    if (!task)
        return b->closing ? -ESHUTDOWN : -ENOMEM;
    redis_command_put(&task->request.bytes, "DEL", stream ? stream : b->stream, NULL);
    task->request.replies = 1;
    b->touched = true;
    return redis_task_ask(b, task, call, 0);
}

/* --- operations ----------------------------------------------------------------------------- */

static int enqueue(struct backend *backend, struct event *const *events, size_t count,
                   struct backend_call *call)
{
    struct redis_backend *b = redis_backend_of(backend);
    b->touched = true;
    return b->closing ? -ESHUTDOWN : redis_settle_enqueue(b, events, count, call);
}

static int pull(struct backend *backend, struct pull_call *call)
{
    struct redis_backend *b = redis_backend_of(backend);
    if (b->closing)
        return -ESHUTDOWN;
    int result = redis_pull(b, call);
    b->touched |= result == -EINPROGRESS;
    return result;
}

static int ack(struct backend *backend, const struct delivery *handled, size_t count,
               struct event *const *emitted, size_t emitted_count, struct backend_call *call)
{
    struct redis_backend *b = redis_backend_of(backend);
    b->touched = true;
    return b->closing ? -ESHUTDOWN
                      : redis_settle_ack(b, handled, count, emitted, emitted_count, call);
}

static int nack(struct backend *backend, const struct delivery *refused, size_t count,
                const char *reason, struct backend_call *call)
{
    struct redis_backend *b = redis_backend_of(backend);
    b->touched = true;
    return b->closing ? -ESHUTDOWN : redis_settle_nack(b, refused, count, reason, call);
}

static void give_back(struct backend *backend, const struct delivery *unhandled)
{
    struct redis_backend *b = redis_backend_of(backend);
    b->touched = true;
    if (!b->closing)
        redis_pull_give_back(b, unhandled);
}

static void forget(struct backend *backend, struct backend_call *call)
{
    struct redis_backend *b = redis_backend_of(backend);
    if (!redis_pull_forget(b, call))
        redis_task_forget(b, call);
}

static int fd(const struct backend *backend)
{
    return ((const struct redis_backend *)backend)->epoll_fd;
}

/* On the connection for what does not wait. */
static bool answers_soon(const struct backend *backend)
{
    const struct redis_backend *b = (const struct redis_backend *)backend;
    return redis_connection_is_ready(&b->work) && b->work.sent;
}

static const char *error_text(const struct backend *backend)
{
    return ((const struct redis_backend *)backend)->error;
}

/* --- progress ------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t deadline(const struct backend *backend)
{
    const struct redis_backend *b = (const struct redis_backend *)backend;
    if (b->touched)
        return 0;
    uint64_t connections =
        earlier(redis_connection_deadline(&b->work), redis_connection_deadline(&b->wait));
    uint64_t calls = earlier(b->next_expiry_ns, redis_pull_deadline(b));
    connections = earlier(connections, redis_connection_deadline(&b->tell.connection));
    return earlier(earlier(connections, calls), redis_pending_deadline(b));
}

/* Everything that is known to be wanted goes out in one write. */
static void send_all(struct redis_backend *b, uint64_t now)
{
    b->touched = false;
    redis_pull_serve(b, now);
    redis_pull_plan(b, now);
    redis_lost_plan(b, now);
    redis_pending_plan(b, now);
    redis_settle_flush(b);
    redis_read_plan(b, now);
    redis_tell_plan(b);
    redis_connection_flush(&b->work, now);
    redis_connection_flush(&b->wait, now);
    redis_connection_flush(&b->tell.connection, now);
}

/* What was only just sent has no answer yet: the descriptor says when there is one. */
static bool only_sends(struct redis_backend *b, uint64_t now)
{
    bool first = b->touched && !b->unread && redis_connection_is_ready(&b->work);
    send_all(b, now);
    b->unread = first && !b->touched && b->work.sent && now < redis_connection_deadline(&b->work);
    return b->unread;
}

/* Whether a connection was closed on which nothing is expected can wait until nothing else comes.
 */
static void step_all(struct redis_backend *b, uint64_t now)
{
    bool came = redis_connection_step(&b->work, now);
    struct redis_connection *const others[] = {&b->wait, &b->tell.connection};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (!came || !redis_connection_is_quiet(others[i]))
            redis_connection_step(others[i], now);
}

static void progress(struct backend *backend)
{
    struct redis_backend *b = redis_backend_of(backend);
    uint64_t now = clock_mono_ns();
    if (only_sends(b, now))
        return;
    step_all(b, now);
    redis_task_expire(b, now);
    if (!redis_connection_is_ready(&b->work))
        end_unhealthy(b);
    send_all(b, now);
}

/* --- what the connections tell -------------------------------------------------------------- */

static void be_ready(void *owner, struct redis_connection *c)
{
    struct redis_backend *b = owner;
    b->backend.counters.reconnections += c == &b->work && c->made > 1;
    b->touched = true;
}

static void be_lost(void *owner, struct redis_connection *c)
{
    struct redis_backend *b = owner;
    if (c == &b->tell.connection)
        redis_tell_note_loss(b);
    else if (c == &b->work)
        redis_tell_hang_up(b);
    b->touched = true;
}

static void complain(void *owner, const char *text, size_t len)
{
    struct redis_backend *b = owner;
    snprintf(b->error, sizeof(b->error), "%.*s", (int)len, text);
}

static void be_denied(void *owner, struct redis_connection *c)
{
    struct redis_backend *b = owner;
    if (c == &b->work)
        redis_task_fail_all(b, -EACCES);
    redis_pull_fail(b, -EACCES);
}

static const struct redis_hooks hooks = {
    .ready = be_ready, .lost = be_lost, .complain = complain, .denied = be_denied};

/* --- open and close ------------------------------------------------------------------------- */

static void free_all(struct redis_backend *b)
{
    redis_connection_close(&b->work);
    redis_connection_close(&b->wait);
    redis_connection_close(&b->tell.connection);
    redis_ahead_free(&b->ahead);
    redis_task_free_all(b);
    redis_url_free(&b->url);
    buf_free(&b->scratch);
    if (b->epoll_fd >= 0)
        close(b->epoll_fd);
    free(b->stream);
    free(b->group);
    free(b->consumer);
    free(b->ahead_consumer);
    free(b->dead_letters);
    free(b);
}

void redis_backend_end_connection(struct redis_backend *b, long long number, const char *run)
{
    bool there = number && strcmp(run, b->work.run) == 0;
    struct redis_task *task = there ? redis_owner_begin_return(b) : NULL;
    char id[24];
    if (!task)
        return;
    snprintf(id, sizeof(id), "%lld", number);
    redis_command_put(&task->request.bytes, "CLIENT", "KILL", "ID", id, NULL);
    task->request.replies = 1;
    (void)redis_task_put(b, &b->work, task);
}

/* What was fetched and not handed out is left to others at once, as far as the socket takes it. */
static void close_backend(struct backend *backend)
{
    struct redis_backend *b = redis_backend_of(backend);
    b->closing = true;
    if (redis_connection_is_ready(&b->work)) {
        redis_backend_end_connection(b, b->wait.id, b->wait.run);
        redis_settle_flush(b);
        redis_owner_release(b);
        redis_connection_flush(&b->work, clock_mono_ns());
        redis_connection_flush(&b->tell.connection, clock_mono_ns());
    }
    redis_task_fail_all(b, -ESHUTDOWN);
    redis_pull_fail(b, -ESHUTDOWN);
    free_all(b);
}

static const struct backend_ops ops = {.enqueue = enqueue,
                                       .pull = pull,
                                       .ack = ack,
                                       .nack = nack,
                                       .give_back = give_back,
                                       .health = ask_health,
                                       .forget = forget,
                                       .fd = fd,
                                       .answers_soon = answers_soon,
                                       .deadline = deadline,
                                       .progress = progress,
                                       .error = error_text,
                                       .close = close_backend};

static int copy_names(struct redis_backend *b, const struct redis_settings *s)
{
    b->stream = strdup(s->stream);
    b->group = strdup(s->group);
    b->consumer = strdup(s->consumer);
    b->dead_letters = strdup(s->dead_letters);
    if (asprintf(&b->ahead_consumer, "%s" REDIS_AHEAD_SUFFIX, s->consumer) < 0)
        b->ahead_consumer = NULL;
    return b->stream && b->group && b->consumer && b->dead_letters && b->ahead_consumer ? 0
                                                                                        : -ENOMEM;
}

static const char *missing(const struct redis_settings *s)
{
    const struct {
        const char *name, *value;
    } names[] = {{"url", s->url},
                 {"stream", s->stream},
                 {"group", s->group},
                 {"consumer", s->consumer},
                 {"dead_letters", s->dead_letters}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!names[i].value || !*names[i].value)
            return names[i].name;
    return s->max_retries == 0 ? "max_retries" : NULL;
}

static bool is_name_of_ahead(const char *consumer)
{
    size_t len = strlen(consumer), end = strlen(REDIS_AHEAD_SUFFIX);
    return len >= end && strcmp(consumer + len - end, REDIS_AHEAD_SUFFIX) == 0;
}

struct backend *redis_backend_open(const struct redis_settings *settings, char *error, size_t size)
{
    const char *wrong = missing(settings);
    if (wrong) {
        snprintf(error, size, "%s: missing", wrong);
        return NULL;
    }
    if (is_name_of_ahead(settings->consumer)) {
        snprintf(error, size, "consumer_name: must not end with " REDIS_AHEAD_SUFFIX);
        return NULL;
    }
    struct redis_backend *b = calloc(1, sizeof(*b));
    if (!b) {
        snprintf(error, size, "%s", strerror(ENOMEM));
        return NULL;
    }
    *b = (struct redis_backend){
        .backend.ops = &ops,
        .max_retries = settings->max_retries,
        .claim_min_idle_ns = settings->claim_min_idle_ns,
        .timeout_ns = settings->timeout_ns ? settings->timeout_ns : TIMEOUT_NS,
        .read_ahead = settings->read_ahead ? settings->read_ahead : READ_AHEAD,
        .next_expiry_ns = UINT64_MAX,
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    int result = b->epoll_fd < 0 ? -errno : copy_names(b, settings);
    redis_connection_init(&b->work, &b->url, &hooks, b, b->epoll_fd, b->timeout_ns);
    redis_connection_init(&b->wait, &b->url, &hooks, b, b->epoll_fd, b->timeout_ns);
    redis_connection_init(&b->tell.connection, &b->url, &hooks, b, b->epoll_fd, b->timeout_ns);
    if (result < 0)
        snprintf(error, size, "%s", strerror(-result));
    else
        result = redis_url_parse(&b->url, settings->url, error, size);
    if (result == 0)
        return &b->backend;
    free_all(b);
    return NULL;
}
