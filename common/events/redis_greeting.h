// SPDX-License-Identifier: Apache-2.0
/*
 * redis_greeting - what a connection says before it is used, and what the server answers: AUTH,
 * SELECT, CLIENT ID, INFO, and CLIENT KILL of the connection that was lost.
 *
 * Part of redis_connection.c, which sends it and acts on the outcome.
 */
#ifndef COMMON_EVENTS_REDIS_GREETING_H
#define COMMON_EVENTS_REDIS_GREETING_H

#include "common/events/redis_connection.h"

enum redis_greeting {
    REDIS_GREETING_GOES_ON, /* more answers will come */
    REDIS_GREETING_DONE,
    REDIS_GREETING_FAILED, /* *why, for people */
    REDIS_GREETING_DENIED  /* likewise: the password or the rights are wrong */
};

/* Puts it into what is to be sent. */
void redis_greeting_send(struct redis_connection *c);
/* One answer; *why is borrowed from it. */
enum redis_greeting redis_greeting_take(struct redis_connection *c, const redisReply *reply,
                                        const char **why);

#endif
