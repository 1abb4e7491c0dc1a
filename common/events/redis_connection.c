// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_connection.h"

#include "common/events/redis_greeting.h"
#include "common/events/redis_socket.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <utlist.h>

#include "common/clock.h"

#define PAUSE_FIRST_NS (20 * NS_PER_MS)
#define PAUSE_LAST_NS  (2 * NS_PER_S)
enum { READ_SIZE = 64 * 1024, SHOWN_SIZE = 256, WORDS_SIZE = 512 };

void redis_connection_init(struct redis_connection *c, const struct redis_url *url,
                           const struct redis_hooks *hooks, void *owner, int epoll_fd,
                           uint64_t timeout_ns)
{
    *c = (struct redis_connection){.fd = -1,
                                   .epoll_fd = epoll_fd,
                                   .url = url,
                                   .hooks = hooks,
                                   .owner = owner,
                                   .timeout_ns = timeout_ns};
}

void redis_connection_close(struct redis_connection *c)
{
    redis_socket_close(c);
    redis_socket_forget_addresses(c);
    buf_free(&c->out);
    c->state = REDIS_CONNECTION_IDLE;
}

/* --- losing it ------------------------------------------------------------------------------ */

static void complain(struct redis_connection *c, const char *why)
{
    char shown[SHOWN_SIZE], words[WORDS_SIZE];
    redis_url_show(c->url, shown, sizeof(shown));
    int len = snprintf(words, sizeof(words), "Redis at %s: %s", shown, why);
    if (len >= (int)sizeof(words))
        len = sizeof(words) - 1;
    c->hooks->complain(c->owner, words, (size_t)len);
}

static uint64_t pause_ns(unsigned failures)
{
    uint64_t pause = PAUSE_FIRST_NS, chance = 0;
    if (failures < 2)
        return 0;
    for (unsigned i = 2; i < failures && pause < PAUSE_LAST_NS; i++)
        pause *= 2;
    if (pause > PAUSE_LAST_NS)
        pause = PAUSE_LAST_NS;
    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
        chance = clock_mono_ns();
    return pause - chance % (pause / 2 + 1);
}

static void stop_checking(struct redis_connection *c, struct redis_request *request)
{
    if (request->checking)
        c->checking--;
    request->checking = false;
}

static void start_checking(struct redis_connection *c, struct redis_request *request)
{
    c->checking += !request->checking;
    request->checking = true;
    buf_reset(&request->check, REDIS_SOCKET_KEEP);
    request->kind->check(c->owner, request);
}

static void send_again_in_order(struct redis_connection *c)
{
    if (c->checking > 0)
        return;
    DL_CONCAT2(c->again, c->waiting, previous, next);
    c->waiting = c->again;
    c->again = NULL;
}

/* What to send again after a loss, in the order it was sent; the rest is told that it is lost. */
static void sort_out_sent(struct redis_connection *c)
{
    struct redis_request *request, *next, *keep = NULL, *gone = NULL;
    DL_FOREACH_SAFE2(c->sent, request, next, next)
    {
        DL_DELETE2(c->sent, request, previous, next);
        request->answered = 0;
        request->error = REDIS_ERROR_NONE;
        if (request->kind->loss == REDIS_LOSS_DROP) {
            stop_checking(c, request);
            DL_APPEND2(gone, request, previous, next);
            continue;
        }
        if (request->kind->loss == REDIS_LOSS_CHECK)
            start_checking(c, request);
        DL_APPEND2(keep, request, previous, next);
    }
    DL_CONCAT2(keep, c->waiting, previous, next);
    c->waiting = keep;
    send_again_in_order(c);
    DL_FOREACH_SAFE2(gone, request, next, next)
    {
        DL_DELETE2(gone, request, previous, next);
        request->kind->lost(c->owner, request);
    }
}

void redis_connection_drop(struct redis_connection *c, uint64_t now, const char *why)
{
    bool was_ready = c->state == REDIS_CONNECTION_READY;
    redis_socket_close(c);
    c->state = REDIS_CONNECTION_PAUSED;
    if (was_ready && c->id) {
        c->lost_id = c->id;
        memcpy(c->lost_run, c->run, sizeof(c->run));
    }
    c->id = 0;
    c->lost++;
    c->failures++;
    c->until_ns = now + pause_ns(c->failures);
    if (why)
        complain(c, why);
    sort_out_sent(c);
    if (was_ready)
        c->hooks->lost(c->owner, c);
}

/* --- connecting ----------------------------------------------------------------------------- */

static void start(struct redis_connection *c, uint64_t now)
{
    c->until_ns = now + c->timeout_ns;
    const char *failed = redis_socket_open(c);
    if (failed)
        redis_connection_drop(c, now, failed);
    else
        c->state = REDIS_CONNECTION_CONNECTING;
}

static void go_on_connecting(struct redis_connection *c, uint64_t now)
{
    bool connected;
    const char *failed = redis_socket_go_on(c, &connected);
    if (failed)
        redis_connection_drop(c, now, failed);
    if (!connected)
        return;
    redis_greeting_send(c);
    c->state = REDIS_CONNECTION_GREETING;
}

/* --- answers -------------------------------------------------------------------------------- */

static void deny(struct redis_connection *c, uint64_t now, const char *why)
{
    redis_connection_drop(c, now, why);
    c->hooks->denied(c->owner, c);
}

static void be_ready(struct redis_connection *c)
{
    c->state = REDIS_CONNECTION_READY;
    c->lost_id = 0;
    c->unasked = false;
    c->made++;
    redis_socket_forget_addresses(c);
    c->hooks->ready(c->owner, c);
}

static void greeted(struct redis_connection *c, redisReply *reply, uint64_t now)
{
    const char *why = reply->str;
    switch (redis_greeting_take(c, reply, &why)) {
    case REDIS_GREETING_GOES_ON:
        break;
    case REDIS_GREETING_DONE:
        be_ready(c);
        break;
    case REDIS_GREETING_FAILED:
        redis_connection_drop(c, now, why);
        break;
    case REDIS_GREETING_DENIED:
        deny(c, now, why);
        break;
    }
}

/* Not now: the request is sent again, or dropped, as after a loss. */
static void put_off(struct redis_connection *c, struct redis_request *request, const char *why,
                    uint64_t now)
{
    DL_PREPEND2(c->sent, request, previous, next);
    redis_connection_drop(c, now, why);
}

/* One answer to a request that finds out what happened to it. */
static void checked(struct redis_connection *c, struct redis_request *request, redisReply *reply,
                    bool last)
{
    if (request->answered == 1)
        request->verdict = REDIS_HAPPENED;
    request->kind->checked(c->owner, request, reply);
    if (!last)
        return;
    request->answered = 0;
    if (request->verdict != REDIS_REFUSED)
        request->error = REDIS_ERROR_NONE;
    DL_DELETE2(c->sent, request, previous, next);
    if (request->verdict == REDIS_ASK_MORE) {
        DL_PREPEND2(c->waiting, request, previous, next);
        return;
    }
    stop_checking(c, request);
    if (request->verdict == REDIS_SEND_AGAIN)
        DL_APPEND2(c->again, request, previous, next);
    else
        request->kind->finish(c->owner, request, NULL);
    send_again_in_order(c);
}

static void answered(struct redis_connection *c, redisReply *reply, uint64_t now)
{
    struct redis_request *request = c->sent;
    if (!request) {
        c->unasked = true;
        redis_connection_drop(c, now, "an answer to no question");
        return;
    }
    request->answered++;
    if (reply->type == REDIS_REPLY_ERROR && !request->error) {
        request->error = redis_error_of((struct span){reply->str, reply->len});
        if (request->error != REDIS_ERROR_NO_GROUP)
            complain(c, reply->str);
    }
    bool last =
        request->answered == (request->checking ? request->check_replies : request->replies);
    if (last && request->error == REDIS_ERROR_LATER) {
        DL_DELETE2(c->sent, request, previous, next);
        put_off(c, request, reply->type == REDIS_REPLY_ERROR ? reply->str : "not now", now);
        return;
    }
    if (request->checking) {
        checked(c, request, reply, last);
    } else if (last) {
        c->failures = 0;
        DL_DELETE2(c->sent, request, previous, next);
        request->kind->finish(c->owner, request, reply);
    }
}

static void take_answers(struct redis_connection *c, uint64_t now)
{
    uint64_t losses = c->lost;
    while (c->lost == losses) {
        void *reply = NULL;
        if (redisReaderGetReply(c->reader, &reply) != REDIS_OK) {
            redis_connection_drop(c, now, "what it answers is not the protocol of Redis");
            return;
        }
        if (!reply)
            return;
        if (c->state == REDIS_CONNECTION_GREETING)
            greeted(c, reply, now);
        else
            answered(c, reply, now);
        freeReplyObject(reply);
    }
}

/* --- reading and writing -------------------------------------------------------------------- */

/* True: there was something. */
static bool read_some(struct redis_connection *c, uint64_t now)
{
    char bytes[READ_SIZE];
    ssize_t n;
    bool came = false;
    do {
        uint64_t losses = c->lost;
        n = recv(c->fd, bytes, sizeof(bytes), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            redis_connection_drop(c, now, n == 0 ? "connection closed" : strerror(errno));
            return true;
        }
        if (n <= 0)
            return came;
        came = true;
        if (redisReaderFeed(c->reader, bytes, (size_t)n) != REDIS_OK) {
            redis_connection_drop(c, now, strerror(ENOMEM));
            return true;
        }
        take_answers(c, now);
        if (c->lost != losses)
            return true;
    } while (n == READ_SIZE);
    return true;
}

static void write_out(struct redis_connection *c, uint64_t now)
{
    while (c->out_sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.len - c->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            redis_connection_drop(c, now, strerror(errno));
            return;
        }
        if (n < 0)
            break;
        c->out_sent += (size_t)n;
    }
    if (c->out_sent == c->out.len) {
        buf_reset(&c->out, REDIS_SOCKET_KEEP);
        c->out_sent = 0;
    }
    bool want = c->out.len > 0;
    int result = want != c->wants_out ? redis_socket_watch(c, EPOLL_CTL_MOD, want) : 0;
    if (result < 0)
        complain(c, strerror(-result));
}

/* Those that find out go before all others, which wait for them. */
static struct redis_request *next_to_send(const struct redis_connection *c)
{
    struct redis_request *request = c->waiting;
    while (c->checking > 0 && request && !request->checking)
        request = request->next;
    return request;
}

void redis_connection_flush(struct redis_connection *c, uint64_t now)
{
    if (c->state < REDIS_CONNECTION_GREETING)
        return;
    struct redis_request *request;
    while (c->state == REDIS_CONNECTION_READY && (request = next_to_send(c))) {
        const struct buf *bytes = request->checking ? &request->check : &request->bytes;
        DL_DELETE2(c->waiting, request, previous, next);
        request->sent_ns = now;
        buf_append(&c->out, bytes->data, bytes->len);
        if (request->replies > 0)
            DL_APPEND2(c->sent, request, previous, next);
        else
            request->kind->finish(c->owner, request, NULL);
    }
    if (!buf_ok(&c->out)) {
        buf_free(&c->out);
        redis_connection_drop(c, now, strerror(ENOMEM));
        return;
    }
    if (c->out.len > 0)
        write_out(c, now);
}

void redis_connection_put(struct redis_connection *c, struct redis_request *request)
{
    request->answered = 0;
    request->error = REDIS_ERROR_NONE;
    DL_APPEND2(c->waiting, request, previous, next);
}

void redis_connection_put_checked(struct redis_connection *c, struct redis_request *request)
{
    start_checking(c, request);
    redis_connection_put(c, request);
}

static bool take_from(struct redis_request **list, struct redis_request *request)
{
    struct redis_request *at;
    DL_FOREACH2(*list, at, next)
    {
        if (at == request) {
            DL_DELETE2(*list, request, previous, next);
            return true;
        }
    }
    return false;
}

bool redis_connection_take_back(struct redis_connection *c, struct redis_request *request)
{
    if (!take_from(&c->waiting, request) && !take_from(&c->again, request))
        return false;
    stop_checking(c, request);
    send_again_in_order(c);
    return true;
}

/* --- time ----------------------------------------------------------------------------------- */

static bool is_wanted(const struct redis_connection *c)
{
    return c->wanted || c->waiting;
}

static uint64_t overdue_at(const struct redis_connection *c)
{
    return c->sent ? c->sent->sent_ns + c->sent->extra_ns + c->timeout_ns : UINT64_MAX;
}

uint64_t redis_connection_deadline(const struct redis_connection *c)
{
    switch (c->state) {
    case REDIS_CONNECTION_IDLE:
        return is_wanted(c) ? 0 : UINT64_MAX;
    case REDIS_CONNECTION_PAUSED:
        return is_wanted(c) ? c->until_ns : UINT64_MAX;
    case REDIS_CONNECTION_CONNECTING:
    case REDIS_CONNECTION_GREETING:
        return c->until_ns;
    case REDIS_CONNECTION_READY:
        break;
    }
    return next_to_send(c) ? 0 : overdue_at(c);
}

static void check_time(struct redis_connection *c, uint64_t now)
{
    if (c->state == REDIS_CONNECTION_READY
            ? now >= overdue_at(c)
            : c->state >= REDIS_CONNECTION_CONNECTING && now >= c->until_ns)
        redis_connection_drop(c, now, "no answer in time");
}

bool redis_connection_step(struct redis_connection *c, uint64_t now)
{
    bool came = false;
    if (is_wanted(c) && (c->state == REDIS_CONNECTION_IDLE ||
                         (c->state == REDIS_CONNECTION_PAUSED && now >= c->until_ns)))
        start(c, now);
    if (c->state == REDIS_CONNECTION_CONNECTING)
        go_on_connecting(c, now);
    if (c->state >= REDIS_CONNECTION_GREETING)
        came = read_some(c, now);
    check_time(c, now);
    redis_connection_flush(c, now);
    return came;
}
