// SPDX-License-Identifier: Apache-2.0
/*
 * exchange_private - what the files of the front share about one exchange.
 *
 * Two hold an exchange: libmicrohttpd, from the head until it reports the request as completed, and
 * the handler, from its call until its reply (for a stream: until on_gone). It is freed, onto a
 * list for reuse, when both have let go.
 */
#ifndef SUPERVISOR_HTTP_EXCHANGE_PRIVATE_H
#define SUPERVISOR_HTTP_EXCHANGE_PRIVATE_H

#include "supervisor/http/body_clock.h"
#include "supervisor/http/connection.h"
#include "supervisor/http/exchange.h"
#include "supervisor/http/inside.h"

#include <microhttpd.h>
#include <stdarg.h>

enum {
    EXCHANGE_BODY_SMALL = 1024,
    EXCHANGE_PATH_SMALL = 256,
    EXCHANGE_ID_SIZE = 192,
    REPLY_HEAD_MAX = 12 * 1024, /* status line and fields; libmicrohttpd's pool is larger */
};

struct exchange_pull; /* stream.c */

struct exchange {
    struct exchange_request request;
    struct front *front;
    struct connection *connection; /* NULL: the client has gone */
    struct MHD_Connection *mhd;    /* NULL likewise */
    enum guard_method method;
    unsigned status;     /* of the reply; 0 before */
    unsigned refused;    /* a policy's verdict: status to answer with */
    const char *refusal; /* its text, static */
    bool mhd_holds, handler_holds;
    bool in_handler; /* libmicrohttpd's callback is on the stack */
    bool suspended;
    bool dispatched;                  /* the handler was called */
    uint64_t retry_after;             /* seconds, of an error that is to be; 0: 1 */
    bool keeps_id;                    /* the client sent an X-Request-Id */
    struct MHD_Response *response;    /* made, not yet queued */
    struct exchange_pull *pull;       /* of a streamed reply */
    const struct exchange_sink *sink; /* looks at the body */
    void *sink_context;
    bool sink_took;   /* the body is the sink's */
    bool body_paused; /* not to be read now */
    bool was_paused;
    struct body_window window; /* while it arrives */
    uint64_t body_taken;       /* bytes that the sink took */
    inside_reply_fn inside_fn; /* NULL unless made by inside.c: gets the reply */
    void *inside_context;

    char *body; /* body_small or malloc'd */
    size_t body_cap;
    int body_fd;
    uint64_t held;  /* bytes counted against bodies_max */
    char *detached; /* the guard's buffer, once the connection has gone */
    char *path;     /* path_small or malloc'd */
    struct exchange *prev, *next;
    /* Not cleared for each request: */
    char path_small[EXCHANGE_PATH_SMALL];
    char remote[INET6_ADDRSTRLEN]; /* once the connection has gone */
    char id[EXCHANGE_ID_SIZE];     /* made here, when the client gave none */
    char body_small[EXCHANGE_BODY_SMALL];
};

/* exchange.c */
/* Cleared but for its small buffers; held by nobody. NULL: no memory. */
struct exchange *exchange_take(struct front *front);
struct exchange *exchange_new(struct connection *c, struct MHD_Connection *mhd);
/* Frees it unless somebody holds it. */
void exchange_release(struct exchange *x);
void exchange_free_list(struct front *front);
/* Fills x->request; the head is where the guard keeps it. 0 or -ENOMEM. */
int exchange_fill(struct exchange *x);
/* Path and query of its target. 0 or -ENOMEM. */
int exchange_fill_path(struct exchange *x);
/* The client has gone: keeps what the handler may still look at. */
void exchange_detach(struct exchange *x);

/* The text of exchange_error(). */
void exchange_put_error(struct buf *body, const char *extra, const char *format, va_list ap);

/* body.c: GUARD_FINE, or why the request cannot be read. */
enum guard_violation body_begin(struct exchange *x);
enum guard_violation body_add(struct exchange *x, const char *bytes, size_t size);
/* All of it is here: seals a large one. */
enum guard_violation body_end(struct exchange *x);
/* Did libmicrohttpd hand all of it on? */
bool body_is_whole(const struct exchange *x);
/* Frees the request's body and counts nothing any more. */
void body_free(struct exchange *x);
/* Counts bytes against bodies_max; false when it is reached. */
bool body_hold(struct exchange *x, uint64_t size);

/* reply.c: hands x->response over, now or at the end of the round. */
void reply_send(struct exchange *x);
/* Adds the fields of a reply; 0, -EINVAL for what no handler may send, -ENOMEM. */
int reply_add_fields(struct MHD_Response *response, struct exchange *x,
                     const struct exchange_reply *reply);

/* receive.c: hands bytes to the sink. */
enum exchange_taking receive_bytes(struct exchange *x, const char *bytes, size_t size);
/* The sink is not needed any more: on_gone. */
void receive_drop(struct exchange *x);
/* The whole body is here: true when it was the sink's, whose on_end has the exchange now. */
bool receive_end(struct exchange *x);

/* stream.c: the connection was closed, or the reply is complete. */
void stream_gone(struct exchange *x);

#endif
