// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/http/front.c supervisor/http/front_report.c supervisor/http/request.c
 * links: supervisor/http/connection.c supervisor/http/exchange.c supervisor/http/body.c
 * supervisor/http/body_clock.c links: supervisor/http/receive.c supervisor/http/reply.c
 * supervisor/http/stream.c supervisor/http/guard.c links: supervisor/http/guard_head.c
 * supervisor/http/guard_body.c supervisor/http/guard_recv.c links: supervisor/http/head.c
 * supervisor/http/target.c supervisor/http/access.c links: supervisor/http/linger.c
 * supervisor/http/listener.c supervisor/http/listeners.c supervisor/http/port_owner.c
 * links: supervisor/loop.c common/buf.c common/codec.c common/json_text.c common/utf8.c common/log.c links: common/clock.c common/memfd.c
 * libs: -lmicrohttpd -ljansson */
/*
 * A real front in a child process, a raw client here. Every test ends by stopping the child, which
 * closes its front with whatever is still open and must exit cleanly.
 */
#include "supervisor/http/front.h"

#include "common/clock.h"
#include "common/memfd.h"
#include "supervisor/http/access.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the server --- */

struct server {
    struct loop *loop;
    struct front *front;
    struct exchange *queue[4096]; /* answered in the next round */
    size_t queued;
    struct exchange *held; /* until /release */
    struct loop_timer timer;
    unsigned gone; /* streams whose on_gone was called */
};

static struct server server;

static void reply_text(struct exchange *x, unsigned status, const char *text, size_t size)
{
    struct exchange_reply reply = {.status = status, .content_type = "text/plain"};
    if (size > 0) {
        reply.body = malloc(size);
        memcpy(reply.body, text, size);
        reply.body_size = size;
    }
    exchange_reply(x, &reply);
}

/* "METHOD target size inline|memfd checksum" */
static void reply_about(struct exchange *x)
{
    const struct exchange_request *r = exchange_request(x);
    struct buf text = BUF_INIT;
    unsigned long sum = 0;
    char bytes[65536];
    for (uint64_t at = 0; at < r->body_size;) {
        size_t n = sizeof(bytes);
        if (r->body_fd >= 0)
            n = (size_t)pread(r->body_fd, bytes, n, (off_t)at);
        else
            memcpy(bytes, r->body.data, n = r->body_size);
        for (size_t i = 0; i < n; i++)
            sum = sum * 31 + (unsigned char)bytes[i];
        at += n;
    }
    buf_printf(&text, "%.*s %.*s %llu %s %lx", (int)r->method.len, r->method.data,
               (int)r->target.len, r->target.data, (unsigned long long)r->body_size,
               r->body_fd >= 0 ? "memfd" : "inline", sum);
    if (r->body_fd >= 0 && memfd_verify(r->body_fd, r->body_size) < 0)
        buf_puts(&text, " unsealed");
    reply_text(x, 200, text.data, text.len);
    buf_free(&text);
}

static void answer_queue(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < server.queued; i++)
        reply_about(server.queue[i]);
    server.queued = 0;
}

struct counting {
    struct exchange *x;
    unsigned next, count;
    bool later, fail, idle;
    struct loop_timer timer;
};

static void stream_more(void *arg)
{
    struct counting *c = arg;
    if (c->next == c->count) {
        exchange_stream_end(c->x, c->fail);
        return;
    }
    char *text = malloc(32);
    exchange_stream_chunk(c->x, text, (size_t)sprintf(text, "chunk %u\n", c->next++));
}

static void on_pull(void *arg)
{
    struct counting *c = arg;
    if (c->idle && c->next == c->count)
        return;
    if (c->later)
        loop_timer_set(server.loop, &c->timer, NS_PER_MS, stream_more, c);
    else
        stream_more(c);
}

static void on_gone(void *arg)
{
    struct counting *c = arg;
    loop_timer_cancel(&c->timer);
    server.gone++;
    free(c);
}

static void start_stream(struct exchange *x, const char *kind)
{
    struct counting *c = calloc(1, sizeof(*c));
    c->x = x;
    c->count = 5;
    c->later = strcmp(kind, "later") == 0;
    c->fail = strcmp(kind, "fail") == 0;
    c->idle = strcmp(kind, "idle") == 0;
    struct exchange_reply head = {.status = 200, .content_type = "text/plain"};
    struct exchange_stream stream = {on_pull, on_gone, c};
    exchange_stream_begin(x, &head, &stream);
}

static void reply_with_fields(struct exchange *x)
{
    static const struct exchange_field injected[] = {{"X-Good", "1"}, {"X-Bad", "a\r\nX-Evil: 1"}};
    static const struct exchange_field mixed[] = {{"X-Good", "1"},
                                                  {"Content-Length", "999"},
                                                  {"Transfer-Encoding", "chunked"},
                                                  {"Connection", "close"}};
    struct buf kind = BUF_INIT;
    exchange_query(x, "kind", &kind);
    bool bad = strcmp(buf_str(&kind), "bad") == 0;
    buf_free(&kind);
    struct exchange_reply reply = {.status = 200,
                                   .fields = bad ? injected : mixed,
                                   .field_count = bad ? 2 : 4,
                                   .body = strdup("body"),
                                   .body_size = 4};
    exchange_reply(x, &reply);
}

static void reply_memfd(struct exchange *x, size_t size)
{
    char *bytes = malloc(size);
    memset(bytes, 'm', size);
    struct exchange_reply reply = {
        .status = 200, .body_fd = memfd_of("reply", bytes, size), .body_size = size};
    free(bytes);
    exchange_reply(x, &reply);
}

static void reply_number(struct exchange *x, uint64_t number)
{
    char text[32];
    reply_text(x, 200, text, (size_t)sprintf(text, "%llu", (unsigned long long)number));
}

static void reply_management(struct exchange *x)
{
    const struct exchange_request *r = exchange_request(x);
    const char *why;
    unsigned status =
        access_management(front_access(server.front), r->is_local, !strcmp(r->remote_addr, "unix"),
                          exchange_header(x, "Authorization"), &why);
    if (status)
        exchange_error(x, status, "\"limit\":\"x\"", "%s", why);
    else
        reply_text(x, 200, "allowed", 7);
}

static void reply_report(struct exchange *x, void (*report)(const struct front *, struct buf *))
{
    struct buf text = BUF_INIT;
    report(server.front, &text);
    reply_text(x, 200, text.data, text.len);
    buf_free(&text);
}

static bool path_is(const struct exchange *x, const char *path)
{
    return span_equal(exchange_request(x)->path, path);
}

static void handle(struct exchange *x, void *arg)
{
    (void)arg;
    if (path_is(x, "/later")) {
        server.queue[server.queued++] = x;
        loop_timer_set(server.loop, &server.timer, 0, answer_queue, NULL);
    } else if (path_is(x, "/hold")) {
        server.held = x;
    } else if (path_is(x, "/release")) {
        reply_about(server.held);
        reply_about(x);
    } else if (path_is(x, "/stream")) {
        start_stream(x, "now");
    } else if (path_is(x, "/stream/later")) {
        start_stream(x, "later");
    } else if (path_is(x, "/stream/fail")) {
        start_stream(x, "fail");
    } else if (path_is(x, "/stream/idle")) {
        start_stream(x, "idle");
    } else if (path_is(x, "/gone")) {
        reply_number(x, server.gone);
    } else if (path_is(x, "/open")) {
        reply_number(x, front_open_exchanges(server.front));
    } else if (path_is(x, "/fields")) {
        reply_with_fields(x);
    } else if (path_is(x, "/memfd")) {
        reply_memfd(x, 1000000);
    } else if (path_is(x, "/huge")) {
        reply_memfd(x, 30000000);
    } else if (path_is(x, "/204")) {
        reply_text(x, 204, "no", 2);
    } else if (path_is(x, "/99")) {
        reply_text(x, 99, "", 0);
    } else if (path_is(x, "/error")) {
        exchange_error(x, 503, "\"limit\":\"queue_object\"", "full: \"%s\"", "x");
    } else if (path_is(x, "/management")) {
        reply_management(x);
    } else if (path_is(x, "/status")) {
        reply_report(x, front_status);
    } else if (path_is(x, "/metrics")) {
        reply_report(x, front_metrics);
    } else {
        reply_about(x);
    }
}

static void on_stop(void *arg, uint32_t events)
{
    (void)arg, (void)events;
    loop_stop(server.loop);
}

static int serve(const struct config *config, int ready_fd, int stop_fd)
{
    char error[512] = "";
    server.loop = loop_new();
    server.front = front_new(server.loop, config, handle, NULL, error, sizeof(error));
    dprintf(ready_fd, "%s\n", server.front ? front_listener_name(server.front, 0) : error);
    close(ready_fd);
    if (!server.front) {
        loop_free(server.loop);
        return 3;
    }
    struct loop_source *stop = loop_watch(server.loop, stop_fd, EPOLLIN, on_stop, NULL);
    loop_run(server.loop);
    loop_unwatch(stop);
    front_close(server.front, 200 * NS_PER_MS);
    front_free(server.front);
    loop_free(server.loop);
    return 0;
}

/* --- starting and stopping it --- */

static struct config config;
static char token_folder[64], socket_path[128];
static pid_t child;
static int stop_fd = -1;
static char listener[600]; /* what the server said: its address, or why there is none */

static void set_up(void)
{
    strcpy(token_folder, "/tmp/test_front.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(token_folder));
    snprintf(socket_path, sizeof(socket_path), "%s/socket", token_folder);
    static char tcp[] = "127.0.0.1:0", name[] = "test";
    config = (struct config){.station_id = name,
                             .data_dir = token_folder,
                             .listen = {tcp},
                             .listen_count = 1,
                             .head_timeout_ns = 10 * NS_PER_S,
                             .body_timeout_ns = 30 * NS_PER_S,
                             .keepalive_timeout_ns = 60 * NS_PER_S,
                             .head_max = 16384,
                             .fields_max = 100,
                             .target_max = 8192,
                             .body_max = 8 << 20,
                             .bodies_max = 64 << 20,
                             .connections_max = 1000,
                             .connections_address_max = 500};
}

static void start(void)
{
    int ready[2], stop[2];
    ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(stop, O_CLOEXEC), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        close(ready[0]);
        close(stop[1]);
        exit(serve(&config, ready[1], stop[0]));
    }
    close(ready[1]);
    close(stop[0]);
    stop_fd = stop[1];
    FILE *in = fdopen(ready[0], "r");
    ck_assert_ptr_nonnull(fgets(listener, sizeof(listener), in));
    listener[strcspn(listener, "\n")] = '\0';
    fclose(in);
}

static int stop(void)
{
    int status;
    close(stop_fd);
    stop_fd = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    child = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void tear_down(void)
{
    if (child)
        ck_assert_int_eq(stop(), 0);
    char path[160];
    snprintf(path, sizeof(path), "%s/admin.token", token_folder);
    unlink(path);
    unlink(socket_path);
    rmdir(token_folder);
}

/* --- the client --- */

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((in_port_t)atoi(strrchr(listener, ':') + 1))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const void *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        ck_assert_msg(n > 0, "send: %s", strerror(errno));
        bytes = (const char *)bytes + n;
        len -= (size_t)n;
    }
}

#define SAY(fd, text) say(fd, text, strlen(text))
#define HOST          "Host: localhost\r\n"

/* One answer: status, head and body; the rest of what was read stays for the next. */
struct answer {
    struct buf rest;
    int status;
    char head[20000];
    struct buf body;
    bool complete; /* the body ended as framing said */
};

static bool hear(int fd, struct answer *a)
{
    char bytes[65536];
    ssize_t n = read(fd, bytes, sizeof(bytes));
    if (n > 0)
        buf_append(&a->rest, bytes, (size_t)n);
    ck_assert_msg(n >= 0 || errno == ECONNRESET, "read: %s", strerror(errno));
    return n > 0;
}

static const char *find(const struct buf *b, const char *text)
{
    return b->len ? memmem(b->data, b->len, text, strlen(text)) : NULL;
}

static void hear_chunked(int fd, struct answer *a)
{
    for (;;) {
        const char *end;
        while (!(end = find(&a->rest, "\r\n"))) {
            if (!hear(fd, a))
                return;
        }
        size_t size = strtoul(a->rest.data, NULL, 16);
        buf_consume(&a->rest, (size_t)(end - a->rest.data) + 2);
        while (a->rest.len < size + 2) {
            if (!hear(fd, a))
                return;
        }
        buf_append(&a->body, a->rest.data, size);
        buf_consume(&a->rest, size + 2);
        if (size == 0) {
            a->complete = true;
            return;
        }
    }
}

static void hear_length(int fd, struct answer *a, size_t size)
{
    while (a->rest.len < size && hear(fd, a))
        ;
    a->complete = a->rest.len >= size;
    if (size > a->rest.len)
        size = a->rest.len;
    buf_append(&a->body, a->rest.data, size);
    buf_consume(&a->rest, size);
}

/* 0 at end of file. `head_request`: no body follows whatever the head says. */
static int hear_answer(int fd, struct answer *a, bool head_request)
{
    const char *end;
    a->status = 0;
    a->complete = false;
    buf_reset(&a->body, SIZE_MAX);
    while (!(end = find(&a->rest, "\r\n\r\n"))) {
        if (!hear(fd, a))
            return 0;
    }
    size_t len = (size_t)(end - a->rest.data) + 2;
    ck_assert_uint_lt(len, sizeof(a->head));
    memcpy(a->head, a->rest.data, len);
    a->head[len] = '\0';
    buf_consume(&a->rest, len + 2);
    ck_assert_int_eq(sscanf(a->head, "HTTP/1.1 %d ", &a->status), 1);
    const char *length = strcasestr(a->head, "\r\nContent-Length:");
    if (head_request || a->status == 204 || a->status < 200)
        a->complete = true;
    else if (strcasestr(a->head, "\r\nTransfer-Encoding: chunked"))
        hear_chunked(fd, a);
    else if (length)
        hear_length(fd, a, strtoul(length + strlen("\r\nContent-Length:"), NULL, 10));
    else
        hear_length(fd, a, SIZE_MAX);
    return a->status;
}

static void forget(struct answer *a)
{
    buf_free(&a->rest);
    buf_free(&a->body);
}

static bool body_is(struct answer *a, const char *text)
{
    return a->body.len == strlen(text) &&
           (!a->body.len || !memcmp(a->body.data, text, a->body.len));
}

static bool has(struct answer *a, const char *field)
{
    return strcasestr(a->head, field) != NULL;
}

/* One request on a connection of its own: its status; the body as a string into text. */
static int ask(const char *request, char *text, size_t size)
{
    struct answer a = {0};
    int fd = dial();
    SAY(fd, request);
    int status = hear_answer(fd, &a, false);
    if (text)
        snprintf(text, size, "%.*s", (int)a.body.len, a.body.data ? a.body.data : "");
    close(fd);
    forget(&a);
    return status;
}

static unsigned long ask_number(const char *path)
{
    char request[200], text[64];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "\r\n", path);
    ck_assert_int_eq(ask(request, text, sizeof(text)), 200);
    return strtoul(text, NULL, 10);
}

static void wait_for_number(const char *path, unsigned long wanted)
{
    for (int i = 0; i < 2000 && ask_number(path) != wanted; i++)
        poll(NULL, 0, 5);
    ck_assert_uint_eq(ask_number(path), wanted);
}

/* An error of the guard: JSON, and nothing after it. */
static void expect_refusal(int fd, int status, const char *limit)
{
    struct answer a = {0};
    ck_assert_int_eq(hear_answer(fd, &a, false), status);
    ck_assert(a.complete);
    ck_assert(has(&a, "\r\nConnection: close"));
    json_t *error = json_loadb(a.body.data, a.body.len, 0, NULL);
    ck_assert_ptr_nonnull(error);
    ck_assert_str_eq(json_string_value(json_object_get(error, "status")), "error");
    ck_assert_ptr_nonnull(json_string_value(json_object_get(error, "error")));
    if (limit)
        ck_assert_str_eq(json_string_value(json_object_get(error, "limit")), limit);
    json_decref(error);
    ck_assert_int_eq(hear_answer(fd, &a, false), 0);
    ck_assert_uint_eq(a.rest.len, 0);
    forget(&a);
}

static void refused(const char *request, int status, const char *limit)
{
    int fd = dial();
    SAY(fd, request);
    expect_refusal(fd, status, limit);
    close(fd);
}

/* --- tests --- */

START_TEST(keep_alive)
{
    start();
    struct answer a = {0};
    int fd = dial();
    for (int i = 0; i < 20; i++) {
        SAY(fd,
            i % 2 ? "GET /a?b HTTP/1.1\r\n" HOST "\r\n" : "GET /later HTTP/1.1\r\n" HOST "\r\n");
        ck_assert_int_eq(hear_answer(fd, &a, false), 200);
        ck_assert(body_is(&a, i % 2 ? "GET /a?b 0 inline 0" : "GET /later 0 inline 0"));
    }
    close(fd);
    forget(&a);
}
END_TEST

START_TEST(byte_by_byte)
{
    start();
    static const char request[] =
        "POST /x HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
        "POST /later HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    struct answer a = {0};
    int fd = dial();
    for (size_t i = 0; i < sizeof(request) - 1; i++)
        say(fd, request + i, 1);
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    ck_assert(body_is(&a, "POST /x 3 inline 17862"));
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    ck_assert(body_is(&a, "POST /later 3 inline 17862"));
    close(fd);
    forget(&a);
}
END_TEST

START_TEST(pipelined_answers_keep_their_order)
{
    start();
    struct buf requests = BUF_INIT;
    enum { COUNT = 2000 };
    for (int i = 0; i < COUNT; i++) {
        if (i % 3 == 0)
            buf_printf(&requests, "GET /later?%d HTTP/1.1\r\n" HOST "\r\n", i);
        else if (i % 3 == 1)
            buf_printf(&requests, "GET /now?%d HTTP/1.1\r\n" HOST "\r\n", i);
        else
            buf_printf(&requests, "PUT /x?%d HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi", i);
    }
    int fd = dial();
    if (fork() == 0) {
        say(fd, requests.data, requests.len);
        _exit(0);
    }
    struct answer a = {0};
    for (int i = 0; i < COUNT; i++) {
        char wanted[32];
        sprintf(wanted, "?%d ", i);
        ck_assert_int_eq(hear_answer(fd, &a, false), 200);
        ck_assert_ptr_nonnull(find(&a.body, wanted));
    }
    ck_assert_int_gt(wait(NULL), 0);
    close(fd);
    forget(&a);
    buf_free(&requests);
}
END_TEST

START_TEST(good_requests_before_a_bad_one_are_answered_first)
{
    start();
    struct answer a = {0};
    int fd = dial();
    SAY(fd, "GET /later?1 HTTP/1.1\r\n" HOST "\r\nGET /now?2 HTTP/1.1\r\n" HOST
            "\r\nGET /?3 HTTP/1.1\r\nX : a\r\n\r\nGET /?4 HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    ck_assert_ptr_nonnull(find(&a.body, "/now?2"));
    ck_assert_int_eq(hear_answer(fd, &a, false), 400);
    ck_assert_int_eq(hear_answer(fd, &a, false), 0);
    close(fd);
    forget(&a);
}
END_TEST

static const struct {
    const char *request;
    int status;
    const char *limit;
} refusals[] = {
    {"GET / HTTP/1.1\nHost: localhost\n\n", 400, NULL},
    {"\x16\x03\x01\x02\x03\x04", 400, NULL},
    {"GET / HTTP/1.1\r\n\r\n", 400, NULL},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", 505, NULL},
    {"BREW / HTTP/1.1\r\n" HOST "\r\n", 501, NULL},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 9000000\r\n\r\n", 413, "body_max"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 9000000\r\nExpect: 100-continue\r\n\r\n", 413,
     "body_max"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n900000\r\n", 413,
     "body_max"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nabc", 400, NULL},
    {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, NULL},
    {"POST / HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\nContent-Length: 5\r\n\r\n", 403,
     NULL},
    {"DELETE / HTTP/1.1\r\n" HOST "Sec-Fetch-Site: cross-site\r\n\r\n", 403, NULL},
};

START_TEST(refusals_are_json)
{
    start();
    refused(refusals[_i].request, refusals[_i].status, refusals[_i].limit);
}
END_TEST

START_TEST(long_heads_are_refused)
{
    start();
    struct buf request = BUF_INIT;
    buf_puts(&request, "GET /");
    for (int i = 0; i < 9000; i++)
        buf_putc(&request, 'x');
    refused(buf_str(&request), 414, "target_max");
    buf_reset(&request, SIZE_MAX);
    buf_puts(&request, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 101; i++)
        buf_puts(&request, "X: y\r\n");
    refused(buf_str(&request), 431, "fields_max");
    buf_reset(&request, SIZE_MAX);
    buf_puts(&request, "GET / HTTP/1.1\r\n" HOST "X: ");
    for (int i = 0; i < 20000; i++)
        buf_putc(&request, 'y');
    refused(buf_str(&request), 431, "head_max");
    buf_free(&request);
}
END_TEST

START_TEST(many_cookies_and_parameters_are_no_trouble)
{
    start();
    struct buf request = BUF_INIT;
    buf_puts(&request, "GET /?");
    for (int i = 0; i < 4000; i++)
        buf_puts(&request, "&a");
    buf_puts(&request, " HTTP/1.1\r\n" HOST "Cookie: ");
    for (int i = 0; i < 4000; i++)
        buf_puts(&request, "a;");
    buf_puts(&request, "\r\n\r\n");
    ck_assert_int_eq(ask(buf_str(&request), NULL, 0), 200);
    buf_free(&request);
}
END_TEST

/* Sends, waits for the refusal, sends on: a reset would show as a failing write. */
static void refused_while_sending(const char *request, int status, const char *limit)
{
    static char noise[8000];
    memset(noise, 'x', sizeof(noise));
    int fd = dial();
    SAY(fd, request);
    say(fd, noise, sizeof(noise));
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&readable, 1, 20000), 1);
    for (int i = 0; i < 20; i++)
        say(fd, noise, sizeof(noise));
    expect_refusal(fd, status, limit);
    close(fd);
}

START_TEST(refusal_reaches_a_client_that_goes_on_sending)
{
    start();
    refused_while_sending("POST / HTTP/1.1\r\n" HOST "Content-Length: 99000000\r\n\r\n", 413,
                          "body_max");
    refused_while_sending("GET / HTTP/1.1\nHost: localhost\r\n\r\n", 400, NULL);
    refused_while_sending("POST / HTTP/1.1\r\nHost: evil.example\r\n"
                          "Content-Length: 8000000\r\n\r\n",
                          421, NULL);
}
END_TEST

START_TEST(slow_head_gets_408_while_others_are_served)
{
    config.head_timeout_ns = 300 * NS_PER_MS;
    start();
    int slow = dial(), idle = dial();
    uint64_t began = clock_mono_ns();
    SAY(slow, "GET / HTTP/1.1\r\nX: ");
    struct pollfd ready = {.fd = slow, .events = POLLIN};
    while (poll(&ready, 1, 50) == 0) { /* typing keeps no head alive */
        SAY(slow, "y");
        ck_assert_int_eq(ask("GET /later HTTP/1.1\r\n" HOST "\r\n", NULL, 0), 200);
        ck_assert_uint_lt(clock_mono_ns() - began, 10 * NS_PER_S);
    }
    ck_assert_uint_ge(clock_mono_ns() - began, 300 * NS_PER_MS);
    expect_refusal(slow, 408, "head_timeout");
    close(slow);
    SAY(idle, "GET / HTTP/1.1\r\n" HOST "\r\n"); /* one that has not begun is not late */
    struct answer a = {0};
    ck_assert_int_eq(hear_answer(idle, &a, false), 200);
    close(idle);
    forget(&a);
    wait_for_number("/open", 1);
}
END_TEST

START_TEST(slow_body_gets_408_while_a_steady_one_goes_on)
{
    config.body_timeout_ns = 300 * NS_PER_MS;
    config.body_rate_min = 1000;
    start();
    int slow = dial(), silent = dial(), steady = dial();
    SAY(slow, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    SAY(silent, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nabc");
    SAY(steady, "POST / HTTP/1.1\r\n" HOST "Content-Length: 400000\r\n\r\n");
    uint64_t began = clock_mono_ns();
    static char piece[10000];
    memset(piece, 'x', sizeof(piece));
    struct pollfd ready = {.fd = slow, .events = POLLIN};
    for (int i = 0; i < 40; i++) {
        if (poll(&ready, 1, 20) == 0)
            SAY(slow, "y");
        say(steady, piece, sizeof(piece));
    }
    ck_assert_uint_ge(clock_mono_ns() - began, 300 * NS_PER_MS);
    expect_refusal(slow, 408, "body_timeout");
    expect_refusal(silent, 408, "body_timeout");
    struct answer a = {0};
    ck_assert_int_eq(hear_answer(steady, &a, false), 200);
    forget(&a);
    close(slow);
    close(silent);
    close(steady);
    wait_for_number("/open", 1);
}
END_TEST

START_TEST(a_connection_at_rest_is_no_slow_body)
{
    config.body_timeout_ns = 100 * NS_PER_MS;
    start();
    int fd = dial();
    SAY(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
    struct answer a = {0};
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    forget(&a);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&ready, 1, 300), 0);
    close(fd);
}
END_TEST

START_TEST(refusal_of_a_head_request_has_no_body)
{
    static const char *const requests[] = {
        "HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "HEAD / HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\n",
    };
    start();
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        char text[1000];
        int fd = dial();
        say(fd, requests[i], strlen(requests[i]));
        size_t n = 0;
        ssize_t got;
        while ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
            n += (size_t)got;
        text[n] = '\0';
        ck_assert_ptr_eq(strstr(text, "HTTP/1.1 400 "), text);
        ck_assert_ptr_nonnull(strstr(text, "\r\nContent-Length: "));
        ck_assert_str_eq(strstr(text, "\r\n\r\n"), "\r\n\r\n");
        close(fd);
    }
}
END_TEST

START_TEST(idle_connection_is_closed)
{
    config.keepalive_timeout_ns = NS_PER_S;
    start();
    struct answer a = {0};
    int fd = dial();
    SAY(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    uint64_t began = clock_mono_ns();
    ck_assert_int_eq(hear_answer(fd, &a, false), 0);
    ck_assert_uint_ge(clock_mono_ns() - began, 900 * NS_PER_MS);
    close(fd);
    forget(&a);
}
END_TEST

static unsigned long peak_kib(void)
{
    char path[64], text[256];
    unsigned long kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", child);
    FILE *in = fopen(path, "r");
    while (in && fgets(text, sizeof(text), in))
        sscanf(text, "VmHWM: %lu", &kib);
    if (in)
        fclose(in);
    return kib;
}

static unsigned long sum_of(char c, size_t n)
{
    unsigned long sum = 0;
    while (n-- > 0)
        sum = sum * 31 + (unsigned char)c;
    return sum;
}

START_TEST(large_body_is_not_held_in_memory)
{
    enum { SIZE = 100 << 20, PIECE = 1 << 20 };
    config.body_max = config.bodies_max = 200 << 20;
    start();
    ck_assert_int_eq(ask("GET / HTTP/1.1\r\n" HOST "\r\n", NULL, 0), 200);
    unsigned long before = peak_kib();
    char *piece = malloc(PIECE), head[200], wanted[100];
    memset(piece, 'b', PIECE);
    struct answer a = {0};
    int fd = dial();
    snprintf(head, sizeof(head), "PUT /up HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", SIZE);
    SAY(fd, head);
    for (int i = 0; i < SIZE / PIECE; i++)
        say(fd, piece, PIECE);
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    snprintf(wanted, sizeof(wanted), "PUT /up %d memfd %lx", SIZE, sum_of('b', SIZE));
    ck_assert(body_is(&a, wanted));
    ck_assert_uint_lt(peak_kib() - before, 20 << 10);
    close(fd);
    free(piece);
    forget(&a);
}
END_TEST

START_TEST(bodies_of_every_size)
{
    static const size_t sizes[] = {1, 1023, 1024, 1025, 8191, 8192, 32767, 32768, 32769, 100000};
    start();
    struct answer a = {0};
    char *body = malloc(100000), head[200], wanted[100];
    memset(body, 'b', 100000);
    int fd = dial();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            snprintf(head, sizeof(head),
                     chunked ? "PUT /up HTTP/1.1\r\n" HOST
                               "Transfer-Encoding: chunked\r\n\r\n%zx\r\n"
                             : "PUT /up HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
                     sizes[i]);
            SAY(fd, head);
            say(fd, body, sizes[i]);
            if (chunked)
                SAY(fd, "\r\n0\r\n\r\n");
            ck_assert_int_eq(hear_answer(fd, &a, false), 200);
            snprintf(wanted, sizeof(wanted), "PUT /up %zu %s %lx", sizes[i],
                     sizes[i] > 32768 ? "memfd" : "inline", sum_of('b', sizes[i]));
            ck_assert_msg(body_is(&a, wanted), "%s", wanted);
        }
    }
    close(fd);
    free(body);
    forget(&a);
}
END_TEST

START_TEST(all_bodies_together_are_limited)
{
    config.bodies_max = 1 << 20;
    start();
    static char body[1500000];
    refused("POST / HTTP/1.1\r\n" HOST "Content-Length: 1500000\r\n\r\n", 503, "bodies_max");
    int fd = dial();
    SAY(fd, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n16E360\r\n");
    say(fd, body, sizeof(body));
    expect_refusal(fd, 503, "bodies_max");
    close(fd);
    char text[200];
    ck_assert_int_eq(ask("GET /huge HTTP/1.1\r\n" HOST "\r\n", text, sizeof(text)), 500);
    ck_assert_ptr_nonnull(strstr(text, "\"limit\":\"bodies_max\""));
    ck_assert_int_eq(ask("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", NULL, 0), 200);
}
END_TEST

START_TEST(announced_bodies_lock_nobody_out)
{
    config.body_max = config.bodies_max = 1 << 20;
    start();
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = dial();
        SAY(fds[i], "POST / HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\nabc");
    }
    ck_assert_int_eq(ask("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", NULL, 0), 200);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    static char body[900000];
    struct answer a = {0};
    int fd = dial();
    for (int i = 0; i < 5; i++) { /* what was held is given back */
        SAY(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 900000\r\n\r\n");
        say(fd, body, sizeof(body));
        ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    }
    close(fd);
    forget(&a);
}
END_TEST

START_TEST(expect_continue)
{
    start();
    struct answer a = {0};
    int fd = dial();
    SAY(fd, "PUT /x HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 100);
    SAY(fd, "abc");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    ck_assert_ptr_nonnull(find(&a.body, "PUT /x 3"));
    close(fd);
    forget(&a);
}
END_TEST

START_TEST(replies_without_a_body)
{
    start();
    struct answer a = {0};
    int fd = dial();
    SAY(fd, "HEAD /abc HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, true), 200);
    ck_assert(has(&a, "\r\nContent-Length: 20\r\n"));
    SAY(fd, "HEAD /memfd HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, true), 200);
    ck_assert(has(&a, "\r\nContent-Length: 1000000\r\n"));
    SAY(fd, "GET /204 HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 204);
    ck_assert(!has(&a, "Content-Length"));
    SAY(fd, "GET /x HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    ck_assert(body_is(&a, "GET /x 0 inline 0"));
    SAY(fd, "HEAD /stream HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, true), 200);
    ck_assert(!has(&a, "Content-Length"));
    ck_assert_int_eq(hear_answer(fd, &a, true), 0);
    ck_assert_uint_eq(a.rest.len, 0); /* no stray last chunk */
    close(fd);
    forget(&a);
    wait_for_number("/gone", 1);
}
END_TEST

START_TEST(large_reply_to_a_slow_reader)
{
    start();
    struct answer a = {0};
    int slow = dial();
    SAY(slow, "GET /huge HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(ask("GET /later HTTP/1.1\r\n" HOST "\r\n", NULL, 0), 200);
    ck_assert_int_eq(hear_answer(slow, &a, false), 200);
    ck_assert(a.complete);
    ck_assert_uint_eq(a.body.len, 30000000);
    ck_assert_int_eq(a.body.data[29999999], 'm');
    close(slow);
    forget(&a);
}
END_TEST

START_TEST(streams)
{
    static const char *const paths[] = {"/stream", "/stream/later"};
    start();
    struct answer a = {0};
    int fd = dial();
    for (int i = 0; i < 4; i++) {
        char request[100];
        sprintf(request, "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i % 2]);
        SAY(fd, request);
        ck_assert_int_eq(hear_answer(fd, &a, false), 200);
        ck_assert(a.complete);
        ck_assert(body_is(&a, "chunk 0\nchunk 1\nchunk 2\nchunk 3\nchunk 4\n"));
    }
    close(fd);
    forget(&a);
    ck_assert_uint_eq(ask_number("/gone"), 4);
    ck_assert_uint_eq(ask_number("/open"), 1);
}
END_TEST

START_TEST(stream_to_an_old_client)
{
    start();
    struct answer a = {0};
    int fd = dial();
    SAY(fd, "GET /stream/later HTTP/1.0\r\n\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    ck_assert(body_is(&a, "chunk 0\nchunk 1\nchunk 2\nchunk 3\nchunk 4\n"));
    close(fd);
    forget(&a);
}
END_TEST

START_TEST(failed_stream_is_cut)
{
    start();
    struct answer a = {0};
    int fd = dial();
    SAY(fd, "GET /stream/fail HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    ck_assert(!a.complete);
    close(fd);
    forget(&a);
    wait_for_number("/gone", 1);
}
END_TEST

START_TEST(idle_stream_notices_that_its_client_has_gone)
{
    start();
    struct answer a = {0};
    int fd = dial();
    SAY(fd, "GET /stream/idle HTTP/1.1\r\n" HOST "\r\n");
    while (!find(&a.rest, "chunk 4"))
        ck_assert(hear(fd, &a));
    ck_assert_uint_eq(ask_number("/gone"), 0);
    close(fd);
    wait_for_number("/gone", 1);
    ck_assert_uint_eq(ask_number("/open"), 1);
    forget(&a);
}
END_TEST

START_TEST(client_that_leaves_before_its_reply)
{
    start();
    int fd = dial();
    SAY(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    wait_for_number("/open", 2);
    struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    ck_assert_int_eq(ask("GET /release HTTP/1.1\r\n" HOST "\r\n", NULL, 0), 200);
    wait_for_number("/open", 1);
}
END_TEST

/* What comes while a connection is suspended must not be forgotten after its reply. */
START_TEST(what_a_waiting_client_sends_is_read_after_its_reply)
{
    start();
    struct answer a = {0};
    int fd = dial();
    SAY(fd, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    for (int i = 0; i < 3; i++) {
        SAY(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
        wait_for_number("/open", 2);
        if (i == 2)
            shutdown(fd, SHUT_WR);
        else
            SAY(fd, "GET /now HTTP/1.1\r\n" HOST "\r\n");
        wait_for_number("/open", 2); /* the loop has been round: it has seen the bytes */
        ck_assert_int_eq(ask("GET /release HTTP/1.1\r\n" HOST "\r\n", NULL, 0), 200);
        ck_assert_int_eq(hear_answer(fd, &a, false), 200);
        ck_assert_int_eq(hear_answer(fd, &a, false), i == 2 ? 0 : 200);
    }
    close(fd);
    forget(&a);
}
END_TEST

START_TEST(half_closed_client_gets_its_reply_and_the_end)
{
    static const char *const requests[] = {"GET /now HTTP/1.1\r\n" HOST "\r\n",
                                           "GET /later HTTP/1.1\r\n" HOST "\r\n",
                                           "GET /memfd HTTP/1.1\r\n" HOST "\r\n"};
    start();
    struct answer a = {0};
    uint64_t began = clock_mono_ns();
    for (int i = 0; i < 3; i++) {
        int fd = dial();
        SAY(fd, requests[i]);
        shutdown(fd, SHUT_WR);
        ck_assert_int_eq(hear_answer(fd, &a, false), 200);
        ck_assert(a.complete);
        ck_assert_int_eq(hear_answer(fd, &a, false), 0);
        close(fd);
    }
    ck_assert_uint_lt(clock_mono_ns() - began, 10 * NS_PER_S);
    forget(&a);
}
END_TEST

static unsigned long connections(void)
{
    char text[8192];
    ck_assert_int_eq(ask("GET /status HTTP/1.1\r\n" HOST "\r\n", text, sizeof(text)), 200);
    json_t *status = json_loads(text, 0, NULL);
    unsigned long n = (unsigned long)json_integer_value(json_object_get(status, "connections"));
    json_decref(status);
    return n;
}

START_TEST(client_that_leaves_in_the_middle_is_noticed)
{
    static const char *const parts[] = {
        "GET / HTT", "GET / HTTP/1.1\r\n" HOST,
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nabc", ""};
    start();
    kill(child, SIGSTOP); /* so that bytes and end arrive as one event */
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int fd = dial();
        SAY(fd, parts[i]);
        close(fd);
    }
    kill(child, SIGCONT);
    uint64_t began = clock_mono_ns();
    while (connections() > 1)
        ck_assert_uint_lt(clock_mono_ns() - began, 10 * NS_PER_S);
}
END_TEST

START_TEST(connections_are_limited)
{
    config.connections_max = 3;
    start();
    struct answer a = {0};
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = dial();
        SAY(fds[i], "GET / HTTP/1.1\r\n" HOST "\r\n");
        ck_assert_int_eq(hear_answer(fds[i], &a, false), 200);
    }
    int surplus = dial();
    expect_refusal(surplus, 503, "connections_max");
    close(surplus);
    close(fds[0]);
    int status = 0;
    for (int i = 0; i < 1000 && status != 200; i++)
        status = ask("GET / HTTP/1.1\r\n" HOST "\r\n", NULL, 0);
    ck_assert_int_eq(status, 200);
    close(fds[1]);
    close(fds[2]);
    forget(&a);
}
END_TEST

START_TEST(connections_of_an_address_are_limited)
{
    config.connections_address_max = 1;
    config.listen[1] = malloc(200);
    snprintf(config.listen[1], 200, "unix:%s", socket_path);
    config.listen_count = 2;
    start();
    struct answer a = {0};
    int fd = dial();
    SAY(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    int surplus = dial();
    expect_refusal(surplus, 503, "connections_address_max");
    close(surplus);
    close(fd);
    forget(&a);
    free(config.listen[1]);
}
END_TEST

static int dial_unix(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

START_TEST(unix_socket)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, socket_path);
    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
    close(stale);
    config.listen[0] = malloc(200);
    snprintf(config.listen[0], 200, "unix:%s", socket_path);
    config.management = MANAGEMENT_TOKEN;
    start();
    ck_assert_str_eq(listener, config.listen[0]);
    struct stat st;
    ck_assert_int_eq(stat(socket_path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    struct answer a = {0};
    int fd = dial_unix();
    SAY(fd, "GET /management HTTP/1.1\r\nHost: whatever.example\r\n\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    SAY(fd, "GET / HTTP/1.1\nX");
    ck_assert_int_eq(hear_answer(fd, &a, false), 400);
    ck_assert_int_eq(hear_answer(fd, &a, false), 0);
    close(fd);
    ck_assert_int_eq(stop(), 0);
    ck_assert_int_ne(stat(socket_path, &st), 0); /* removed with the listener */
    free(config.listen[0]);
    forget(&a);
}
END_TEST

START_TEST(socket_somebody_listens_on_is_left_alone)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, socket_path);
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(other, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(other, 5), 0);
    config.listen[0] = malloc(200);
    snprintf(config.listen[0], 200, "unix:%s", socket_path);
    start();
    ck_assert_ptr_nonnull(strstr(listener, "in use"));
    ck_assert_int_eq(stop(), 3);
    struct stat st;
    ck_assert_int_eq(stat(socket_path, &st), 0);
    close(other);
    free(config.listen[0]);
}
END_TEST

static const struct {
    char *spec;
    const char *error;
} bad_listeners[] = {
    {"0.0.0.0:0", "this machine only"},    {"[::]:0", "this machine only"},
    {"192.0.2.1:80", "this machine only"}, {"localhost", "not of the form"},
    {"127.0.0.1:", "not of the form"},     {"127.0.0.1:70000", "not of the form"},
    {"example.org:80", "not of the form"}, {"unix:relative", "absolute path"},
};

START_TEST(bad_listeners_are_explained)
{
    config.listen[0] = bad_listeners[_i].spec;
    start();
    ck_assert_msg(strstr(listener, bad_listeners[_i].error) != NULL, "%s", listener);
    ck_assert_int_eq(stop(), 3);
}
END_TEST

START_TEST(port_in_use_says_by_whom)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    char spec[64], who[64];
    snprintf(spec, sizeof(spec), "127.0.0.1:%d", ntohs(address.sin_port));
    snprintf(who, sizeof(who), "in use by process %d (", getpid());
    config.listen[0] = spec;
    start();
    ck_assert_msg(strstr(listener, who) != NULL, "%s", listener);
    ck_assert_msg(strstr(listener, "; to serve another port: --listen 127.0.0.1:") != NULL, "%s",
                  listener);
    ck_assert_int_eq(stop(), 3);
    close(fd);
}
END_TEST

START_TEST(fields_of_handlers_are_checked)
{
    start();
    struct answer a = {0};
    int fd = dial();
    SAY(fd, "GET /fields?kind=mixed HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    ck_assert(has(&a, "\r\nX-Good: 1\r\n"));
    ck_assert(has(&a, "\r\nContent-Length: 4\r\n"));
    ck_assert(!has(&a, "999") && !has(&a, "chunked") && !has(&a, "close"));
    SAY(fd, "GET /fields?kind=bad HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 500);
    ck_assert(!has(&a, "Evil"));
    SAY(fd, "GET /99 HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 500);
    close(fd);
    forget(&a);
}
END_TEST

START_TEST(request_ids)
{
    start();
    struct answer a = {0};
    int fd = dial();
    SAY(fd, "GET / HTTP/1.1\r\n" HOST "X-Request-Id: mine-1\r\n\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    ck_assert(has(&a, "\r\nX-Request-Id: mine-1\r\n"));
    SAY(fd, "GET /error HTTP/1.1\r\n" HOST "X-Request-Id: mine-2\r\n\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 503);
    ck_assert(has(&a, "\r\nX-Request-Id: mine-2\r\n"));
    SAY(fd, "GET /error HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 503);
    ck_assert(has(&a, "\r\nX-Request-Id: test-"));
    ck_assert(has(&a, "\r\nRetry-After: 1\r\n"));
    ck_assert(body_is(
        &a, "{\"status\":\"error\",\"error\":\"full: \\\"x\\\"\",\"limit\":\"queue_object\"}"));
    SAY(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(hear_answer(fd, &a, false), 200);
    ck_assert(!has(&a, "X-Request-Id"));
    close(fd);
    forget(&a);
}
END_TEST

START_TEST(management_needs_the_token)
{
    config.management = MANAGEMENT_TOKEN;
    start();
    char path[160], token[100] = "", request[300];
    ck_assert_int_eq(ask("GET /management HTTP/1.1\r\n" HOST "\r\n", NULL, 0), 401);
    snprintf(path, sizeof(path), "%s/admin.token", token_folder);
    FILE *in = fopen(path, "r");
    ck_assert_ptr_nonnull(in);
    ck_assert_ptr_nonnull(fgets(token, sizeof(token), in));
    fclose(in);
    token[strcspn(token, "\n")] = '\0';
    snprintf(request, sizeof(request),
             "GET /management HTTP/1.1\r\n" HOST "Authorization: Bearer %s\r\n\r\n", token);
    ck_assert_int_eq(ask(request, NULL, 0), 200);
}
END_TEST

START_TEST(reports)
{
    start();
    char text[8192];
    refused("GET / HTTP/1.1\nX", 400, NULL);
    refused("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, NULL);
    ck_assert_int_eq(ask("GET /status HTTP/1.1\r\n" HOST "\r\n", text, sizeof(text)), 200);
    json_t *status = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(status);
    json_t *rejected = json_object_get(status, "rejected");
    ck_assert_int_eq(json_integer_value(json_object_get(rejected, "bare_lf")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(rejected, "unknown_host")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(status, "open_requests")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(status, "accepted")), 3);
    json_decref(status);
    ck_assert_int_eq(ask("GET /metrics HTTP/1.1\r\n" HOST "\r\n", text, sizeof(text)), 200);
    ck_assert_ptr_nonnull(strstr(text, "objectd_http_rejected_total{reason=\"bare_lf\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "objectd_http_requests_total{class=\"4xx\"} 1\n"));
}
END_TEST

START_TEST(everything_open_is_closed_at_the_end)
{
    start();
    int fds[] = {dial(), dial(), dial(), dial(), dial()};
    SAY(fds[0], "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    SAY(fds[1], "GET /stream/idle HTTP/1.1\r\n" HOST "\r\n");
    SAY(fds[2], "GET / HTTP/1.1\r\nX: "); /* a head under way */
    SAY(fds[3], "POST / HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\nabc");
    SAY(fds[4], "GET /huge HTTP/1.1\r\n" HOST "\r\n");
    wait_for_number("/open", 3);
    ck_assert_int_eq(stop(), 0);
    for (int i = 0; i < 5; i++)
        close(fds[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("front");
    TCase *tests = tcase_create("front");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, keep_alive);
    tcase_add_test(tests, byte_by_byte);
    tcase_add_test(tests, pipelined_answers_keep_their_order);
    tcase_add_test(tests, good_requests_before_a_bad_one_are_answered_first);
    tcase_add_loop_test(tests, refusals_are_json, 0, sizeof(refusals) / sizeof(refusals[0]));
    tcase_add_test(tests, long_heads_are_refused);
    tcase_add_test(tests, many_cookies_and_parameters_are_no_trouble);
    tcase_add_test(tests, refusal_reaches_a_client_that_goes_on_sending);
    tcase_add_test(tests, slow_head_gets_408_while_others_are_served);
    tcase_add_test(tests, slow_body_gets_408_while_a_steady_one_goes_on);
    tcase_add_test(tests, a_connection_at_rest_is_no_slow_body);
    tcase_add_test(tests, refusal_of_a_head_request_has_no_body);
    tcase_add_test(tests, idle_connection_is_closed);
    tcase_add_test(tests, large_body_is_not_held_in_memory);
    tcase_add_test(tests, bodies_of_every_size);
    tcase_add_test(tests, all_bodies_together_are_limited);
    tcase_add_test(tests, announced_bodies_lock_nobody_out);
    tcase_add_test(tests, expect_continue);
    tcase_add_test(tests, replies_without_a_body);
    tcase_add_test(tests, large_reply_to_a_slow_reader);
    tcase_add_test(tests, streams);
    tcase_add_test(tests, stream_to_an_old_client);
    tcase_add_test(tests, failed_stream_is_cut);
    tcase_add_test(tests, idle_stream_notices_that_its_client_has_gone);
    tcase_add_test(tests, client_that_leaves_before_its_reply);
    tcase_add_test(tests, what_a_waiting_client_sends_is_read_after_its_reply);
    tcase_add_test(tests, half_closed_client_gets_its_reply_and_the_end);
    tcase_add_test(tests, client_that_leaves_in_the_middle_is_noticed);
    tcase_add_test(tests, connections_are_limited);
    tcase_add_test(tests, connections_of_an_address_are_limited);
    tcase_add_test(tests, unix_socket);
    tcase_add_test(tests, socket_somebody_listens_on_is_left_alone);
    tcase_add_loop_test(tests, bad_listeners_are_explained, 0,
                        sizeof(bad_listeners) / sizeof(bad_listeners[0]));
    tcase_add_test(tests, port_in_use_says_by_whom);
    tcase_add_test(tests, fields_of_handlers_are_checked);
    tcase_add_test(tests, request_ids);
    tcase_add_test(tests, management_needs_the_token);
    tcase_add_test(tests, reports);
    tcase_add_test(tests, everything_open_is_closed_at_the_end);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
