// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READER_KEEP = 1024 * 1024 /* what the parser may keep between answers */ };

void redis_socket_close(struct redis_connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    if (c->reader)
        redisReaderFree(c->reader);
    c->reader = NULL;
    buf_reset(&c->out, REDIS_SOCKET_KEEP);
    c->out_sent = 0;
}

void redis_socket_forget_addresses(struct redis_connection *c)
{
    if (c->addresses)
        freeaddrinfo(c->addresses);
    c->addresses = c->next_address = NULL;
}

int redis_socket_watch(struct redis_connection *c, int operation, bool out)
{
    struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0)};
    c->wants_out = out;
    return epoll_ctl(c->epoll_fd, operation, c->fd, &event) < 0 ? -errno : 0;
}

static int make_socket(struct redis_connection *c, int family)
{
    int yes = 1;
    c->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    if (family != AF_UNIX) {
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        (void)setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
    }
    c->reader = redisReaderCreate();
    if (!c->reader)
        return -ENOMEM;
    c->reader->maxbuf = READER_KEEP;
    return 0;
}

static int connect_to(struct redis_connection *c, int family, const struct sockaddr *address,
                      socklen_t len)
{
    int result = make_socket(c, family);
    if (result == 0 && connect(c->fd, address, len) < 0 && errno != EINPROGRESS)
        result = -errno;
    if (result == 0)
        result = redis_socket_watch(c, EPOLL_CTL_ADD, true);
    if (result < 0)
        redis_socket_close(c);
    return result;
}

static int connect_unix(struct redis_connection *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(c->url->path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, c->url->path);
    return connect_to(c, AF_UNIX, (struct sockaddr *)&address, sizeof(address));
}

/* The next address that does not refuse at once. */
static int connect_next(struct redis_connection *c)
{
    int result = -EHOSTUNREACH;
    while (c->next_address) {
        struct addrinfo *address = c->next_address;
        c->next_address = address->ai_next;
        result = connect_to(c, address->ai_family, address->ai_addr, address->ai_addrlen);
        if (result == 0)
            break;
    }
    return result;
}

const char *redis_socket_open(struct redis_connection *c)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int result;
    if (c->url->path) {
        result = connect_unix(c);
        return result < 0 ? strerror(-result) : NULL;
    }
    redis_socket_forget_addresses(c);
    int failed = getaddrinfo(c->url->host, c->url->port, &hints, &c->addresses);
    if (failed) {
        c->addresses = NULL;
        return gai_strerror(failed);
    }
    c->next_address = c->addresses;
    result = connect_next(c);
    return result < 0 ? strerror(-result) : NULL;
}

const char *redis_socket_go_on(struct redis_connection *c, bool *connected)
{
    struct pollfd out = {.fd = c->fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof(error);
    *connected = false;
    if (poll(&out, 1, 0) <= 0)
        return NULL;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    *connected = error == 0;
    if (*connected)
        return NULL;
    redis_socket_close(c);
    return connect_next(c) < 0 ? strerror(error) : NULL;
}
