// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/guard_recv.h"

#include "common/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

/* Other threads (a resolver's, say) may look up descriptors of their own; they find NULL. */
static _Atomic(struct guarded *) table[GUARDED_FD_MAX];

static const char *reason_phrase(unsigned status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 417:
        return "Expectation Failed";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 507:
        return "Insufficient Storage";
    default:
        return "HTTP Version Not Supported";
    }
}

static void write_error(int fd, unsigned status, struct span body, bool head_only)
{
    char head[320], date[64];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    int head_len = snprintf(head, sizeof(head),
                            "HTTP/1.1 %u %s\r\nDate: %s\r\nConnection: close\r\n%s"
                            "Content-Type: application/json; charset=utf-8\r\n"
                            "Content-Length: %zu\r\n\r\n",
                            status, reason_phrase(status), date,
                            status == 503 ? "Retry-After: 1\r\n" : "", body.len);
    struct iovec parts[] = {{head, (size_t)head_len}, {(void *)body.data, body.len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = head_only ? 1 : 2};
    /* A client that does not even take this much is not waited for. */
    (void)!sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void write_violation(int fd, enum guard_violation violation, bool head_only)
{
    const struct guard_violation_info *info = guard_violation_info(violation);
    char body[320];
    int len = snprintf(body, sizeof(body), "{\"status\":\"error\",\"error\":\"%s\"%s%s%s}",
                       info->text, info->limit ? ",\"limit\":\"" : "",
                       info->limit ? info->limit : "", info->limit ? "\"" : "");
    write_error(fd, info->status, (struct span){body, (size_t)len}, head_only);
}

void guard_write_error(int fd, enum guard_violation violation)
{
    write_violation(fd, violation, false);
}

static bool is_head(const struct guarded *c)
{
    return c->guard.head.method == GUARD_HEAD_METHOD;
}

static void untime_head(struct guarded *c)
{
    if (!c->head_timed)
        return;
    c->head_timed = false;
    *(c->older ? &c->older->newer : &c->set->oldest) = c->newer;
    *(c->newer ? &c->newer->older : &c->set->newest) = c->older;
    c->older = c->newer = NULL;
}

static void stop_reading(struct guarded *c, enum guard_violation violation)
{
    c->answered = true;
    untime_head(c);
    guard_reject(&c->guard, violation);
}

void guarded_reject(struct guarded *c, enum guard_violation violation)
{
    if (c->answered)
        return;
    stop_reading(c, violation);
    c->set->rejected[violation]++;
    write_violation(c->fd, violation, is_head(c));
    linger_start_dup(&c->set->lingers, c->fd);
}

void guarded_refuse(struct guarded *c, unsigned status, struct span body)
{
    if (c->answered)
        return;
    stop_reading(c, GUARD_BAD_body_long);
    write_error(c->fd, status, body, is_head(c));
    linger_start_dup(&c->set->lingers, c->fd);
}

static void expire_heads(void *arg)
{
    struct guard_set *set = arg;
    uint64_t now = clock_mono_ns();
    while (set->oldest && set->oldest->head_since_ns + set->head_timeout_ns <= now)
        guarded_reject(set->oldest, GUARD_BAD_head_slow);
    if (set->oldest)
        loop_timer_set(set->loop, &set->head_timer,
                       set->oldest->head_since_ns + set->head_timeout_ns - now, expire_heads, set);
}

static void time_head(struct guarded *c)
{
    struct guard_set *set = c->set;
    if (c->head_timed)
        return;
    c->head_timed = true;
    c->head_since_ns = clock_mono_ns();
    c->newer = NULL;
    c->older = set->newest;
    *(set->newest ? &set->newest->newer : &set->oldest) = c;
    set->newest = c;
    if (!loop_timer_armed(&set->head_timer))
        loop_timer_set(set->loop, &set->head_timer, set->head_timeout_ns, expire_heads, set);
}

void guard_set_init(struct guard_set *set, struct loop *loop, const struct guard_limits *limits,
                    uint64_t head_timeout_ns)
{
    *set = (struct guard_set){.loop = loop, .limits = *limits, .head_timeout_ns = head_timeout_ns};
    lingers_init(&set->lingers, loop);
}

void guard_set_configure(struct guard_set *set, const struct guard_limits *limits,
                         uint64_t head_timeout_ns)
{
    set->limits = *limits;
    set->head_timeout_ns = head_timeout_ns;
    if (set->oldest)
        loop_timer_set(set->loop, &set->head_timer, 0, expire_heads, set);
}

void guard_set_free(struct guard_set *set)
{
    loop_timer_cancel(&set->head_timer);
    lingers_free(&set->lingers);
}

int guarded_open(struct guarded *c, struct guard_set *set, int fd)
{
    *c = (struct guarded){.set = set, .fd = fd};
    guard_init(&c->guard, &set->limits);
    if (fd < 0 || fd >= GUARDED_FD_MAX)
        return -EMFILE;
    atomic_store_explicit(&table[fd], c, memory_order_relaxed);
    return 0;
}

void guarded_close(struct guarded *c)
{
    untime_head(c);
    epoll_keep_forget(&c->keep, c->fd);
    guard_free(&c->guard);
    if (c->fd >= 0 && c->fd < GUARDED_FD_MAX)
        atomic_store_explicit(&table[c->fd], NULL, memory_order_relaxed);
}

void guarded_next(struct guarded *c)
{
    if (!c->answered)
        guard_next(&c->guard);
}

/* One call of recv() by libmicrohttpd. */
struct receipt {
    struct guarded *c;
    char *dest;
    size_t size, used;
    bool was_short; /* the last read took all that was there then */
    bool drained;   /* the socket was asked in vain: an end of file was not overlooked */
    ssize_t failed; /* what to return when nothing was received: 0 end of file, -1 errno */
};

static bool receive(struct receipt *r, char *into, size_t room, size_t *received)
{
    ssize_t n = recvfrom(r->c->fd, into, room, 0, NULL, NULL);
    if (n <= 0) {
        r->drained = r->was_short = true;
        r->failed = n;
        return false;
    }
    r->was_short = (size_t)n < room;
    *received = (size_t)n;
    return true;
}

/* The steps return false when there is nothing more to do in this call. */
static bool step_head(struct receipt *r)
{
    struct guarded *c = r->c;
    switch (guard_parse(&c->guard)) {
    case GUARD_HEAD:
        break;
    case GUARD_REJECTED:
        return false;
    default:
        untime_head(c);
        c->out_at = 0;
        c->out_len = (unsigned char)guard_canonical(&c->guard, c->out);
        return true;
    }
    if (r->drained)
        return false;
    size_t room, n;
    char *into = guard_room(&c->guard, &room);
    if (!into) {
        guard_reject(&c->guard, GUARD_BAD_no_memory);
        return false;
    }
    if (!receive(r, into, room, &n))
        return false;
    guard_received(&c->guard, n);
    return true;
}

static bool step_out(struct receipt *r)
{
    struct guarded *c = r->c;
    size_t n = c->out_len - c->out_at;
    if (n > r->size - r->used)
        n = r->size - r->used;
    memcpy(r->dest + r->used, c->out + c->out_at, n);
    c->out_at = (unsigned char)(c->out_at + n);
    r->used += n;
    return true;
}

static bool step_body(struct receipt *r)
{
    struct guard *g = &r->c->guard;
    char *into = r->dest + r->used;
    size_t room = r->size - r->used;
    size_t taken = guard_take(g, into, room);
    if (taken > 0 || g->state != GUARD_BODY) {
        r->used += taken;
        return g->state != GUARD_REJECTED;
    }
    if (r->drained)
        return false;
    if (room > guard_body_wants(g))
        room = (size_t)guard_body_wants(g);
    size_t n;
    if (!receive(r, into, room, &n))
        return false;
    size_t used = guard_body(g, into, n);
    r->used += used;
    if (used < n && g->state == GUARD_COMPLETE && !guard_keep(g, into + used, n - used))
        guard_reject(g, GUARD_BAD_no_memory);
    return g->state != GUARD_REJECTED;
}

static bool step(struct receipt *r)
{
    struct guarded *c = r->c;
    if (r->used == r->size)
        return false;
    if (c->out_at < c->out_len)
        return step_out(r);
    if (c->guard.state == GUARD_HEAD)
        return step_head(r);
    return c->guard.state == GUARD_BODY && step_body(r);
}

static ssize_t guarded_recv(struct guarded *c, char *dest, size_t size)
{
    if (c->answered)
        return 0;
    if (c->guard.state == GUARD_COMPLETE && c->out_at == c->out_len) {
        /* It reads ahead after a resume, with a reply on its way: EINTR makes it try again later,
         * EAGAIN makes it wait for the socket. */
        errno = c->may_have_more ? EINTR : EAGAIN;
        return -1;
    }
    struct receipt r = {.c = c, .dest = dest, .size = size, .failed = -1};
    errno = EAGAIN;
    while (step(&r))
        ;
    if (c->guard.state == GUARD_REJECTED) {
        guarded_reject(c, c->guard.violation);
        return 0;
    }
    if (c->guard.state == GUARD_HEAD && c->guard.len > 0)
        time_head(c);
    /* A client that shuts its side down after its only request leaves no edge to wait for. */
    c->may_have_more = !r.was_short || guard_has_more(&c->guard) || !c->served;
    c->served |= c->guard.state == GUARD_COMPLETE;
    if (r.failed == 0)
        return 0;
    return r.used > 0 ? (ssize_t)r.used : -1;
}

struct guarded *guarded_at(int fd)
{
    return fd >= 0 && fd < GUARDED_FD_MAX ? atomic_load_explicit(&table[fd], memory_order_relaxed)
                                          : NULL;
}

/* The one definition that the whole process uses instead of the C library's. */
__attribute__((visibility("default"))) ssize_t recv(int fd, void *dest, size_t size, int flags)
{
    struct guarded *c = guarded_at(fd);
    return c ? guarded_recv(c, dest, size) : recvfrom(fd, dest, size, flags, NULL, NULL);
}
