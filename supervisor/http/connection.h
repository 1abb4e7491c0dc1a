// SPDX-License-Identifier: Apache-2.0
/*
 * connection - one client's socket within the front: guard, limits, the exchange under way.
 *
 * Owned by the front from accept() until libmicrohttpd reports it closed. Loop thread only.
 */
#ifndef SUPERVISOR_HTTP_CONNECTION_H
#define SUPERVISOR_HTTP_CONNECTION_H

#include "common/seeded_hash.h"
#include "supervisor/http/guard_recv.h"

#include <netinet/in.h>

struct exchange;
struct front;

/* Connections of one client address; in the front's table while there are any. */
struct client_address {
    struct in6_addr key; /* IPv4 as mapped address */
    size_t connections;
    UT_hash_handle hh;
};

struct connection {
    struct guarded guarded; /* stays the first member */
    struct front *front;
    struct client_address *client; /* NULL for Unix sockets */
    struct exchange *exchange;     /* the request that libmicrohttpd is busy with */
    bool is_unix;
    bool linger; /* input may be unread when it closes */
    char remote[INET6_ADDRSTRLEN];
};

/* Takes fd over in any case; answers 503 where a limit is reached. */
void connection_accept(struct front *front, int fd, const struct sockaddr *address,
                       socklen_t address_size);
/* The connection whose descriptor this is, or NULL. */
struct connection *connection_of(int fd);
/* Closed by libmicrohttpd, its descriptor still open. */
void connection_closed(struct connection *c);

#endif
