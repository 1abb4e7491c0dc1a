// SPDX-License-Identifier: Apache-2.0
/*
 * redis_url - where a Redis is, and who asks.
 *
 *   redis://[[user]:password@]host[:port][/db][?db=N]      host may be [::1] or empty (localhost)
 *   unix://[[user]:password@]/path[?db=N]
 *   rediss://…                                             refused: this hiredis has no TLS
 *
 * The options username=U and password=P replace what stands before the @; others are passed over.
 * User, password, host and path may be percent-encoded. redis_url_show() and the errors contain
 * neither user nor password. Pure.
 */
#ifndef COMMON_EVENTS_REDIS_URL_H
#define COMMON_EVENTS_REDIS_URL_H

#include <stddef.h>

struct redis_url {
    char *user, *password; /* NULL: none; a password without user is that of "default" */
    char *host;            /* NULL: a socket in the file system */
    char *path;            /* of that socket */
    char port[6];
    int db;
};

/* 0; -EINVAL with the reason in `error`; -ENOMEM. Zeroed after an error. */
int redis_url_parse(struct redis_url *url, const char *text, char *error, size_t size);
/* Overwrites the password before it is freed. */
void redis_url_free(struct redis_url *url);
/* "localhost:6379/0" or "/run/redis.sock/0". */
void redis_url_show(const struct redis_url *url, char *out, size_t size);

#endif
