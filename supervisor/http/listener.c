// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/listener.h"

#include "supervisor/http/port_owner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse_port(const char *text, in_port_t *port)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end || value > 65535 || text[0] < '0' || text[0] > '9')
        return false;
    *port = htons((in_port_t)value);
    return true;
}

/* Splits "host:port" and reads both; host names other than localhost are not looked up. */
static bool parse_address(const char *spec, union address *address)
{
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(spec, ':');
    if (!colon || (size_t)(colon - spec) >= sizeof(host))
        return false;
    size_t len = (size_t)(colon - spec);
    memcpy(host, spec, len);
    host[len] = '\0';
    memset(address, 0, sizeof(*address));
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        address->v6.sin6_family = AF_INET6;
        return inet_pton(AF_INET6, host + 1, &address->v6.sin6_addr) == 1 &&
               parse_port(colon + 1, &address->v6.sin6_port);
    }
    address->v4.sin_family = AF_INET;
    return inet_pton(AF_INET, strcasecmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                     &address->v4.sin_addr) == 1 &&
           parse_port(colon + 1, &address->v4.sin_port);
}

static bool is_loopback(const union address *address)
{
    if (address->any.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
    return (ntohl(address->v4.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
}

static socklen_t address_size(const union address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}

static in_port_t address_port(const union address *address)
{
    return address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port;
}

/* The port may have been 0: says what the kernel chose. */
static void name_listener(struct listener *l, const union address *address)
{
    bool v6 = address->any.sa_family == AF_INET6;
    inet_ntop(address->any.sa_family,
              v6 ? (const void *)&address->v6.sin6_addr : (const void *)&address->v4.sin_addr,
              l->address, sizeof(l->address));
    snprintf(l->name, sizeof(l->name), v6 ? "[%s]:%u" : "%s:%u", l->address,
             ntohs(address_port(address)));
}

static int fail_tcp(const char *spec, int err, const union address *address, char *error,
                    size_t error_size)
{
    char owner[128];
    unsigned port = ntohs(address_port(address));
    int host = (int)(strrchr(spec, ':') - spec);
    if (err == EADDRINUSE && !port_owner(port, owner, sizeof(owner)))
        strcpy(owner, "another process");
    if (err == EADDRINUSE)
        snprintf(error, error_size, "%s is in use by %s; to serve another port: --listen %.*s:%u",
                 spec, owner, host, spec, port < 65535 ? port + 1 : port - 1);
    else
        snprintf(error, error_size, "cannot listen on %s: %s", spec, strerror(err));
    return -err;
}

static int open_tcp(struct listener *l, const char *spec, char *error, size_t error_size)
{
    union address address;
    if (!parse_address(spec, &address)) {
        snprintf(error, error_size,
                 "cannot listen on %s: not of the form 127.0.0.1:8001, [::1]:8001 or unix:/path",
                 spec);
        return -EINVAL;
    }
    if (!is_loopback(&address)) {
        snprintf(error, error_size,
                 "refusing to listen on %s: a station serves this machine only, since whoever "
                 "reaches it can run code; put a proxy with authentication in front",
                 spec);
        return -EACCES;
    }
    l->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return fail_tcp(spec, errno, &address, error, error_size);
    int on = 1;
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address.any.sa_family == AF_INET6)
        setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(l->fd, &address.any, address_size(&address)) < 0 || listen(l->fd, BACKLOG) < 0)
        return fail_tcp(spec, errno, &address, error, error_size);
    socklen_t size = sizeof(address);
    if (getsockname(l->fd, &address.any, &size) < 0)
        return fail_tcp(spec, errno, &address, error, error_size);
    name_listener(l, &address);
    return 0;
}

/* True when connecting shows that nobody listens any more. */
static bool socket_file_is_stale(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool stale = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
                 errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static int bind_unix(int fd, const struct sockaddr_un *address)
{
    /* The mode of the file is decided when it is made; afterwards would be too late. */
    mode_t mask = umask(0177);
    int err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    umask(mask);
    return err;
}

static int open_unix(struct listener *l, const char *path, char *error, size_t error_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path[0] != '/' || strlen(path) >= sizeof(address.sun_path)) {
        snprintf(error, error_size,
                 "cannot listen on unix:%s: not an absolute path below %zu bytes", path,
                 sizeof(address.sun_path));
        return -EINVAL;
    }
    strcpy(address.sun_path, path);
    l->is_unix = true;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err = l->fd < 0 ? -errno : bind_unix(l->fd, &address);
    if (err == -EADDRINUSE && socket_file_is_stale(&address)) {
        unlink(path);
        err = bind_unix(l->fd, &address);
    }
    if (!err) {
        strcpy(l->path, path);
        err = listen(l->fd, BACKLOG) < 0 ? -errno : 0;
    }
    if (err)
        snprintf(error, error_size, "cannot listen on unix:%s: %s", path, strerror(-err));
    snprintf(l->name, sizeof(l->name), "unix:%s", path);
    return err;
}

int listener_open(struct listener *l, const char *spec, char *error, size_t error_size)
{
    static const char unix_prefix[] = "unix:";
    *l = (struct listener){.fd = -1};
    int err = strncmp(spec, unix_prefix, sizeof(unix_prefix) - 1) == 0
                  ? open_unix(l, spec + sizeof(unix_prefix) - 1, error, error_size)
                  : open_tcp(l, spec, error, error_size);
    if (err)
        listener_close(l);
    return err;
}

void listener_close(struct listener *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    if (l->path[0])
        unlink(l->path);
    l->path[0] = '\0';
}
