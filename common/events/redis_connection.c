// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_connection.h"

#include "common/events/redis_command.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#include "common/clock.h"

#define PAUSE_FIRST_NS (20 * NS_PER_MS)
#define PAUSE_LAST_NS  (2 * NS_PER_S)
enum {
    READ_SIZE = 64 * 1024,
    READER_KEEP = 1024 * 1024, /* what the parser may keep between answers */
    OUT_KEEP = 256 * 1024,
    OF_CLIENT = 2, /* the last greetings: CLIENT ID, INFO */
    SHOWN_SIZE = 256,
    WORDS_SIZE = 512
};

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

static void close_socket(struct redis_connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    if (c->reader)
        redisReaderFree(c->reader);
    c->reader = NULL;
    buf_reset(&c->out, OUT_KEEP);
    c->out_sent = 0;
}

static void forget_addresses(struct redis_connection *c)
{
    if (c->addresses)
        freeaddrinfo(c->addresses);
    c->addresses = c->next_address = NULL;
}

void redis_connection_close(struct redis_connection *c)
{
    close_socket(c);
    forget_addresses(c);
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
    buf_reset(&request->check, OUT_KEEP);
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
    close_socket(c);
    c->state = REDIS_CONNECTION_PAUSED;
    if (was_ready && c->id) {
        c->lost_id = c->id;
        memcpy(c->lost_run, c->run, sizeof(c->run));
    }
    c->id = 0;
    c->lost++;
    c->failures++;
    c->until_ns = now + pause_ns(c->failures);
    complain(c, why);
    sort_out_sent(c);
    if (was_ready)
        c->hooks->lost(c->owner, c);
}

/* --- connecting ----------------------------------------------------------------------------- */

static void watch(struct redis_connection *c, int operation, bool out)
{
    struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0)};
    c->wants_out = out;
    if (epoll_ctl(c->epoll_fd, operation, c->fd, &event) < 0)
        complain(c, strerror(errno));
}

static void greet(struct redis_connection *c)
{
    const struct redis_url *url = c->url;
    char number[24];
    c->greetings = OF_CLIENT;
    c->ends_lost = false;
    c->run[0] = '\0';
    if (url->password) {
        c->greetings++;
        if (url->user)
            redis_command_put(&c->out, "AUTH", url->user, url->password, NULL);
        else
            redis_command_put(&c->out, "AUTH", url->password, NULL);
    }
    if (url->db) {
        c->greetings++;
        snprintf(number, sizeof(number), "%d", url->db);
        redis_command_put(&c->out, "SELECT", number, NULL);
    }
    redis_command_put(&c->out, "CLIENT", "ID", NULL);
    redis_command_put(&c->out, "INFO", "server", NULL);
    c->state = REDIS_CONNECTION_GREETING;
}

/* The last greeting, once it is known that the server is the one that had the lost connection. */
static void end_lost(struct redis_connection *c)
{
    char number[24];
    snprintf(number, sizeof(number), "%lld", c->lost_id);
    redis_command_put(&c->out, "CLIENT", "KILL", "ID", number, NULL);
    c->ends_lost = true;
    c->greetings = 1;
}

static int start_connect(struct redis_connection *c, int family, const struct sockaddr *address,
                         socklen_t len)
{
    int yes = 1;
    c->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    if (family != AF_UNIX) {
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        (void)setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
    }
    if (connect(c->fd, address, len) < 0 && errno != EINPROGRESS) {
        int error = -errno;
        close_socket(c);
        return error;
    }
    c->reader = redisReaderCreate();
    if (!c->reader) {
        close_socket(c);
        return -ENOMEM;
    }
    c->reader->maxbuf = READER_KEEP;
    c->state = REDIS_CONNECTION_CONNECTING;
    watch(c, EPOLL_CTL_ADD, true);
    return 0;
}

static int connect_unix(struct redis_connection *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(c->url->path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, c->url->path);
    return start_connect(c, AF_UNIX, (struct sockaddr *)&address, sizeof(address));
}

/* The next address that does not refuse at once. */
static int connect_next(struct redis_connection *c)
{
    int result = -EHOSTUNREACH;
    while (c->next_address) {
        struct addrinfo *address = c->next_address;
        c->next_address = address->ai_next;
        result = start_connect(c, address->ai_family, address->ai_addr, address->ai_addrlen);
        if (result == 0)
            break;
    }
    return result;
}

static void start(struct redis_connection *c, uint64_t now)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    c->until_ns = now + c->timeout_ns;
    if (c->url->path) {
        int result = connect_unix(c);
        if (result < 0)
            redis_connection_drop(c, now, strerror(-result));
        return;
    }
    forget_addresses(c);
    int failed = getaddrinfo(c->url->host, c->url->port, &hints, &c->addresses);
    if (failed) {
        c->addresses = NULL;
        redis_connection_drop(c, now, gai_strerror(failed));
        return;
    }
    c->next_address = c->addresses;
    int result = connect_next(c);
    if (result < 0)
        redis_connection_drop(c, now, strerror(-result));
}

static void go_on_connecting(struct redis_connection *c, uint64_t now)
{
    struct pollfd out = {.fd = c->fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof(error);
    if (poll(&out, 1, 0) <= 0)
        return;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0) {
        greet(c);
        return;
    }
    close_socket(c);
    if (connect_next(c) < 0)
        redis_connection_drop(c, now, strerror(error));
}

/* --- answers -------------------------------------------------------------------------------- */

static void deny(struct redis_connection *c, uint64_t now, const char *why)
{
    redis_connection_drop(c, now, why);
    c->hooks->denied(c->owner, c);
}

static void note_run(struct redis_connection *c, const char *info)
{
    static const char name[] = "run_id:";
    const char *run = strstr(info, name);
    if (run)
        snprintf(c->run, sizeof(c->run), "%.*s", (int)strcspn(run + strlen(name), "\r\n"),
                 run + strlen(name));
}

static void be_ready(struct redis_connection *c)
{
    c->state = REDIS_CONNECTION_READY;
    c->lost_id = 0;
    c->made++;
    forget_addresses(c);
    c->hooks->ready(c->owner, c);
}

/* A server that does not know AUTH quotes what came with it. */
static const char *refusal(const struct redis_connection *c, const redisReply *reply,
                           enum redis_error error)
{
    bool of_password = c->greetings > OF_CLIENT + (c->url->db != 0);
    return of_password && error == REDIS_ERROR_OTHER ? "the server has no AUTH" : reply->str;
}

/* CLIENT and INFO may be forbidden or unknown, for they are only needed after a loss; a password
 * that is missing shows here too. */
static void greeted(struct redis_connection *c, redisReply *reply, uint64_t now)
{
    bool optional = c->greetings <= OF_CLIENT;
    if (reply->type == REDIS_REPLY_ERROR) {
        struct span text = {reply->str, reply->len};
        enum redis_error error = redis_error_of(text);
        bool no_password = reply->len >= 6 && memcmp(reply->str, "NOAUTH", 6) == 0;
        if (no_password || (error == REDIS_ERROR_DENIED && !optional)) {
            deny(c, now, reply->str);
            return;
        }
        if (!optional || error == REDIS_ERROR_LATER) {
            redis_connection_drop(c, now, refusal(c, reply, error));
            return;
        }
    }
    if (c->greetings == OF_CLIENT && reply->type == REDIS_REPLY_INTEGER)
        c->id = reply->integer;
    if (reply->type == REDIS_REPLY_STRING)
        note_run(c, reply->str);
    if (--c->greetings > 0)
        return;
    if (c->lost_id && !c->ends_lost && strcmp(c->run, c->lost_run) == 0)
        end_lost(c);
    else
        be_ready(c);
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

static void read_some(struct redis_connection *c, uint64_t now)
{
    char bytes[READ_SIZE];
    ssize_t n;
    do {
        uint64_t losses = c->lost;
        n = recv(c->fd, bytes, sizeof(bytes), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            redis_connection_drop(c, now, n == 0 ? "connection closed" : strerror(errno));
            return;
        }
        if (n <= 0)
            return;
        if (redisReaderFeed(c->reader, bytes, (size_t)n) != REDIS_OK) {
            redis_connection_drop(c, now, strerror(ENOMEM));
            return;
        }
        take_answers(c, now);
        if (c->lost != losses)
            return;
    } while (n == READ_SIZE);
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
        buf_reset(&c->out, OUT_KEEP);
        c->out_sent = 0;
    }
    bool want = c->out.len > 0;
    if (want != c->wants_out)
        watch(c, EPOLL_CTL_MOD, want);
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
        DL_APPEND2(c->sent, request, previous, next);
        request->sent_ns = now;
        buf_append(&c->out, bytes->data, bytes->len);
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

void redis_connection_step(struct redis_connection *c, uint64_t now)
{
    if (is_wanted(c) && (c->state == REDIS_CONNECTION_IDLE ||
                         (c->state == REDIS_CONNECTION_PAUSED && now >= c->until_ns)))
        start(c, now);
    if (c->state == REDIS_CONNECTION_CONNECTING)
        go_on_connecting(c, now);
    if (c->state >= REDIS_CONNECTION_GREETING)
        read_some(c, now);
    check_time(c, now);
    redis_connection_flush(c, now);
}
