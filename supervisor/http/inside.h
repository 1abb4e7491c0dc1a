// SPDX-License-Identifier: Apache-2.0
/*
 * inside - requests that the station makes of itself, for a turn that asks something of an object.
 *
 * Such an exchange has no connection: its reply goes to a function. Everything else (limits,
 * routes, errors) is the same as for a client's. Loop thread only.
 */
#ifndef SUPERVISOR_HTTP_INSIDE_H
#define SUPERVISOR_HTTP_INSIDE_H

#include "supervisor/http/exchange.h"

struct front;

/* Everything is copied but body_fd, which is taken over in any case. */
struct inside_request {
    const char *method; /* one of those of exchange_request */
    struct span target;
    struct span head;
    struct span body;
    int body_fd; /* verified sealed memfd; -1: the body is in `body` */
    uint64_t body_size;
    struct span remote_addr; /* shown to handlers */
    struct span request_id;  /* 1..128 bytes; empty: none */
};

/*
 * Called once, when the exchange is answered; takes the reply's body over. Streams are refused with
 * a 500 before that.
 */
typedef void (*inside_reply_fn)(void *context, const struct exchange_reply *reply);

/* To be answered like any other exchange. NULL and *err: -ENOMEM, or -ENOSPC (bodies_max). */
struct exchange *inside_new(struct front *front, const struct inside_request *request,
                            inside_reply_fn fn, void *context, int *err);
/* Hands it to the station's handler of requests, as a client's. */
void inside_dispatch(struct exchange *x);
/* The method of that name, static; NULL when there is none. */
const char *inside_method(struct span name);

#endif
