// SPDX-License-Identifier: Apache-2.0
/*
 * redis_socket - the socket of a connection to Redis: where to, how it comes about, what epoll
 * watches.
 *
 * Part of redis_connection.c, which decides when. Nothing blocks but the resolution of a host name.
 * "Why" is a text for people, borrowed until the next call.
 */
#ifndef COMMON_EVENTS_REDIS_SOCKET_H
#define COMMON_EVENTS_REDIS_SOCKET_H

#include "common/events/redis_connection.h"

enum { REDIS_SOCKET_KEEP = 256 * 1024 /* bytes of an empty buffer that may stay */ };

/* Connects to the first address that does not refuse at once. NULL, or why there is none. */
const char *redis_socket_open(struct redis_connection *c);
/* Whether it is connected now; where it was refused, the next address is tried. NULL, or why there
 * is none any more. */
const char *redis_socket_go_on(struct redis_connection *c, bool *connected);
/* Also drops what was to be sent and what was not read to its end. */
void redis_socket_close(struct redis_connection *c);
void redis_socket_forget_addresses(struct redis_connection *c);
/* EPOLL_CTL_ADD or _MOD: readable, and with `out` writable. 0 or -errno. */
int redis_socket_watch(struct redis_connection *c, int operation, bool out);

#endif
