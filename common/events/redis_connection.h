// SPDX-License-Identifier: Apache-2.0
/*
 * redis_connection - one connection to Redis that comes back by itself, and the requests on it.
 *
 * A request is one or more commands sent together; its owner hears of every answer, of its end, and
 * of what became of it when the connection was lost. Requests are sent in the order given, many at
 * a time. Nothing blocks but the resolution of a host name (getaddrinfo) when a connection is made.
 * A connection is made when there is something to send or it is wanted, by trying every address of
 * the host, and after a failure with a pause that doubles from 20 ms to 2 s, each shortened by up
 * to a half at random. Lost is also a connection on which an answer is overdue.
 *
 * After a loss the next connection first ends the lost one at the server (CLIENT KILL), so that
 * what was sent and not yet executed is not executed later: only then can be found out what
 * happened. A server that was started since has ended it, and has given its number to another.
 */
#ifndef COMMON_EVENTS_REDIS_CONNECTION_H
#define COMMON_EVENTS_REDIS_CONNECTION_H

#include <hiredis/hiredis.h>

#include "common/events/redis_error.h"
#include "common/events/redis_url.h"

#include <stdbool.h>
#include <stdint.h>

struct redis_connection;
struct redis_request;

/* What a request that was sent and not answered does after a loss. */
enum redis_loss {
    REDIS_LOSS_DROP,   /* lost() hears of it */
    REDIS_LOSS_REPEAT, /* executing it twice is the same as once */
    REDIS_LOSS_CHECK   /* its check() is sent first */
};

struct redis_request_kind {
    enum redis_loss loss;
    /* All answers are there; `last` is the last one, NULL when a check found that it had happened
     * before, or when none was expected and it is about to be written. The request is the owner's
     * again. */
    void (*finish)(void *owner, struct redis_request *request, redisReply *last);
    /* It was dropped: LOSS_DROP. The request is the owner's again. */
    void (*lost)(void *owner, struct redis_request *request);
    /* LOSS_CHECK: puts commands into request->check and their number into check_replies. */
    void (*check)(void *owner, struct redis_request *request);
    /* An answer to them; with the last one request->verdict must stand. For REDIS_ASK_MORE it puts
     * the next commands as check() does. */
    void (*checked)(void *owner, struct redis_request *request, redisReply *reply);
};

/* What the answers to a check say; it begins as REDIS_HAPPENED. */
enum redis_verdict {
    REDIS_HAPPENED,   /* finish() without an answer */
    REDIS_SEND_AGAIN, /* not done yet */
    REDIS_ASK_MORE,
    REDIS_REFUSED /* finish() with the error of the check */
};

struct redis_request {
    struct redis_request *next, *previous;
    const struct redis_request_kind *kind;
    struct buf bytes, check;
    unsigned replies, check_replies, answered;
    uint64_t sent_ns, extra_ns; /* when sent; how much later than usual the answer may be */
    bool checking;
    enum redis_verdict verdict;
    enum redis_error error; /* the first error among the answers */
};

struct redis_hooks {
    void (*ready)(void *owner, struct redis_connection *connection);
    void (*lost)(void *owner, struct redis_connection *connection);
    /* Words about what went wrong, without secrets. */
    void (*complain)(void *owner, const char *text, size_t len);
    /* The password or the rights are wrong: nothing on this connection will work. */
    void (*denied)(void *owner, struct redis_connection *connection);
};

enum redis_connection_state {
    REDIS_CONNECTION_IDLE,   /* made when needed */
    REDIS_CONNECTION_PAUSED, /* after a failure */
    REDIS_CONNECTION_CONNECTING,
    REDIS_CONNECTION_GREETING, /* AUTH, SELECT, … */
    REDIS_CONNECTION_READY
};

enum { REDIS_RUN_SIZE = 41 };

struct redis_connection {
    enum redis_connection_state state;
    int fd, epoll_fd;
    bool wants_out; /* as epoll knows it */
    bool wanted;    /* also while nothing waits to be sent */
    const struct redis_url *url;
    const struct redis_hooks *hooks;
    void *owner;
    uint64_t timeout_ns;
    struct addrinfo *addresses, *next_address;
    redisReader *reader;
    struct buf out;
    size_t out_sent;
    struct redis_request *waiting, *sent, *again;
    unsigned checking;   /* requests that find out what happened; others wait for them */
    unsigned greetings;  /* answers still to come */
    unsigned failures;   /* in a row */
    uint64_t until_ns;   /* the end of the pause, or of the patience with connecting and greeting */
    uint64_t made, lost; /* how often */
    long long id,
        lost_id;    /* of this connection at the server, and of the last one that was ready */
    bool ends_lost; /* it has been told to */
    bool unasked;   /* the last one was lost by an answer to no question */
    char run[REDIS_RUN_SIZE], lost_run[REDIS_RUN_SIZE]; /* of the server; "": not known */
};

void redis_connection_init(struct redis_connection *c, const struct redis_url *url,
                           const struct redis_hooks *hooks, void *owner, int epoll_fd,
                           uint64_t timeout_ns);
/* Closes it. The requests it held stay in its lists, for their owner to free. */
void redis_connection_close(struct redis_connection *c);

/* Queues a request; the connection holds it until finish() or lost(). With _checked its check()
 * goes first. */
void redis_connection_put(struct redis_connection *c, struct redis_request *request);
void redis_connection_put_checked(struct redis_connection *c, struct redis_request *request);
/* Takes back a request that was not sent (or not again after a loss); false when it was. */
bool redis_connection_take_back(struct redis_connection *c, struct redis_request *request);
/* Writes what waits, as far as the socket takes it. */
void redis_connection_flush(struct redis_connection *c, uint64_t now);
/* Connects, reads, times out and writes. True: something had come. */
bool redis_connection_step(struct redis_connection *c, uint64_t now);
/* Has to be given up. The words, if there are any, go to complain(); the next one may wait. */
void redis_connection_drop(struct redis_connection *c, uint64_t now, const char *why);
uint64_t redis_connection_deadline(const struct redis_connection *c);

static inline bool redis_connection_is_ready(const struct redis_connection *c)
{
    return c->state == REDIS_CONNECTION_READY;
}

/* Ready, and nothing is expected on it. */
static inline bool redis_connection_is_quiet(const struct redis_connection *c)
{
    return c->state == REDIS_CONNECTION_READY && !c->sent && !c->waiting && !c->out.len;
}

/* Ready, and all that was put has gone out. */
static inline bool redis_connection_is_clear(const struct redis_connection *c)
{
    return c->state == REDIS_CONNECTION_READY && !c->waiting && c->out_sent == c->out.len;
}

#endif
