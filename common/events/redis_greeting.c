// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_greeting.h"

#include "common/events/redis_command.h"

#include <stdio.h>
#include <string.h>

enum { OF_CLIENT = 2 /* the last greetings: CLIENT ID, INFO */ };

void redis_greeting_send(struct redis_connection *c)
{
    const struct redis_url *url = c->url;
    char number[24];
    c->greetings = OF_CLIENT;
    c->ends_lost = false;
    c->run[0] = '\0';
    if (url->password) {
        c->greetings++;
        if (url->user)
            redis_command_put(&c->out, "AUTH", url->user, url->password, NULL);
        else
            redis_command_put(&c->out, "AUTH", url->password, NULL);
    }
    if (url->db) {
        c->greetings++;
        snprintf(number, sizeof(number), "%d", url->db);
        redis_command_put(&c->out, "SELECT", number, NULL);
    }
    redis_command_put(&c->out, "CLIENT", "ID", NULL);
    redis_command_put(&c->out, "INFO", "server", NULL);
}

/* The last greeting, once it is known that the server is the one that had the lost connection. */
static void end_lost(struct redis_connection *c)
{
    char number[24];
    snprintf(number, sizeof(number), "%lld", c->lost_id);
    redis_command_put(&c->out, "CLIENT", "KILL", "ID", number, NULL);
    c->ends_lost = true;
    c->greetings = 1;
}

static void note_run(struct redis_connection *c, const char *info)
{
    static const char name[] = "run_id:";
    const char *run = strstr(info, name);
    if (run)
        snprintf(c->run, sizeof(c->run), "%.*s", (int)strcspn(run + strlen(name), "\r\n"),
                 run + strlen(name));
}

/* A server that does not know AUTH quotes what came with it. */
static const char *refusal(const struct redis_connection *c, const redisReply *reply,
                           enum redis_error error)
{
    bool of_password = c->greetings > OF_CLIENT + (c->url->db != 0);
    return of_password && error == REDIS_ERROR_OTHER ? "the server has no AUTH" : reply->str;
}

/* CLIENT and INFO may be forbidden or unknown, for they are only needed after a loss; a password
 * that is missing shows here too. */
static enum redis_greeting refused(const struct redis_connection *c, const redisReply *reply,
                                   const char **why)
{
    bool optional = c->greetings <= OF_CLIENT;
    enum redis_error error = redis_error_of((struct span){reply->str, reply->len});
    bool no_password = reply->len >= 6 && memcmp(reply->str, "NOAUTH", 6) == 0;
    *why = reply->str;
    if (no_password || (error == REDIS_ERROR_DENIED && !optional))
        return REDIS_GREETING_DENIED;
    *why = refusal(c, reply, error);
    return !optional || error == REDIS_ERROR_LATER ? REDIS_GREETING_FAILED : REDIS_GREETING_GOES_ON;
}

enum redis_greeting redis_greeting_take(struct redis_connection *c, const redisReply *reply,
                                        const char **why)
{
    enum redis_greeting outcome =
        reply->type == REDIS_REPLY_ERROR ? refused(c, reply, why) : REDIS_GREETING_GOES_ON;
    if (outcome != REDIS_GREETING_GOES_ON)
        return outcome;
    if (c->greetings == OF_CLIENT && reply->type == REDIS_REPLY_INTEGER)
        c->id = reply->integer;
    if (reply->type == REDIS_REPLY_STRING)
        note_run(c, reply->str);
    if (--c->greetings > 0)
        return REDIS_GREETING_GOES_ON;
    if (!c->lost_id || c->ends_lost || strcmp(c->run, c->lost_run) != 0)
        return REDIS_GREETING_DONE;
    end_lost(c);
    return REDIS_GREETING_GOES_ON;
}
