// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/connection.h"

#include "supervisor/http/exchange_private.h"
#include "supervisor/http/front_private.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

static struct in6_addr address_key(const struct sockaddr *address)
{
    struct in6_addr key = {0};
    if (address->sa_family == AF_INET6) {
        key = ((const struct sockaddr_in6 *)address)->sin6_addr;
    } else {
        key.s6_addr[10] = key.s6_addr[11] = 0xff;
        memcpy(&key.s6_addr[12], &((const struct sockaddr_in *)address)->sin_addr, 4);
    }
    return key;
}

static struct client_address *client_get(struct front *front, const struct sockaddr *address)
{
    struct in6_addr key = address_key(address);
    struct client_address *client;
    HASH_FIND(hh, front->clients, &key, sizeof(key), client);
    if (client)
        return client;
    client = calloc(1, sizeof(*client));
    if (!client)
        return NULL;
    client->key = key;
    HASH_ADD(hh, front->clients, key, sizeof(client->key), client);
    if (!client->hh.tbl) {
        free(client);
        return NULL;
    }
    return client;
}

static void client_put(struct front *front, struct client_address *client)
{
    if (!client || client->connections > 0)
        return;
    HASH_DEL(front->clients, client);
    free(client);
}

static void name_remote(struct connection *c, const struct sockaddr *address)
{
    if (c->is_unix)
        memcpy(c->remote, "unix", sizeof("unix"));
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, c->remote,
                  sizeof(c->remote));
    else
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, c->remote,
                  sizeof(c->remote));
}

static void refuse(struct front *front, int fd, enum guard_violation violation)
{
    front->guards.rejected[violation]++;
    guard_write_error(fd, violation);
    linger_start(&front->guards.lingers, fd);
}

static void destroy(struct connection *c)
{
    struct front *front = c->front;
    guarded_close(&c->guarded);
    if (c->client) {
        c->client->connections--;
        client_put(front, c->client);
    }
    front->connections--;
    free(c);
}

static struct connection *create(struct front *front, int fd, struct client_address *client)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->front = front;
    c->client = client;
    c->is_unix = !client;
    front->connections++;
    if (client)
        client->connections++;
    if (guarded_open(&c->guarded, &front->guards, fd) < 0) {
        destroy(c);
        return NULL;
    }
    return c;
}

void connection_accept(struct front *front, int fd, const struct sockaddr *address,
                       socklen_t address_size)
{
    bool is_unix = address->sa_family == AF_UNIX;
    if (front->connections >= front->config->connections_max) {
        refuse(front, fd, GUARD_BAD_connections_many);
        return;
    }
    struct client_address *client = is_unix ? NULL : client_get(front, address);
    if (client && client->connections >= front->config->connections_address_max) {
        refuse(front, fd, GUARD_BAD_address_connections_many);
        return;
    }
    struct connection *c = client || is_unix ? create(front, fd, client) : NULL;
    if (!c) {
        refuse(front, fd, GUARD_BAD_no_memory);
        client_put(front, client);
        return;
    }
    name_remote(c, address);
    if (!is_unix) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    front->accepted++;
    if (MHD_add_connection(front->daemon, fd, address, address_size) != MHD_YES &&
        guarded_at(fd) == &c->guarded)
        destroy(c); /* refused before it was reported as started */
}

struct connection *connection_of(int fd)
{
    return (struct connection *)guarded_at(fd); /* its first member */
}

void connection_closed(struct connection *c)
{
    bool lingers =
        c->linger || c->front->is_leaving; /* the client may have sent its next request */
    if (lingers && !c->guarded.answered)
        linger_start_dup(&c->front->guards.lingers, c->guarded.fd);
    destroy(c);
}
