// SPDX-License-Identifier: Apache-2.0
/*
 * listener - one listening socket: "ADDRESS:PORT", "[ADDRESS]:PORT" or "unix:/path".
 *
 * Only loopback addresses (and the name localhost) are bound: the station has no authentication
 * that would stand on a network. A Unix socket is made with mode 0600, so it is for the station's
 * own user; a socket file that nobody listens on any more is replaced, everything else is left
 * alone. Loop thread.
 */
#ifndef SUPERVISOR_HTTP_LISTENER_H
#define SUPERVISOR_HTTP_LISTENER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

struct listener {
    int fd; /* -1: closed */
    bool is_unix;
    char address[INET6_ADDRSTRLEN]; /* "127.0.0.1", "::1"; empty for Unix */
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 8]; /* as configured, port bound */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* 0 or -errno after writing one line to error. */
int listener_open(struct listener *l, const char *spec, char *error, size_t error_size);
/* Closes it and removes the socket file. */
void listener_close(struct listener *l);

#endif
