// SPDX-License-Identifier: Apache-2.0
/*
 * exchange - one HTTP request and its one reply, between the front and the rest of the supervisor.
 *
 * The front calls its handler when a request is complete (guarded, within its limits, its Host and
 * Origin accepted, its body read). From then on the connection is suspended until somebody calls
 * one of the reply functions, exactly once, now or later; the exchange is gone after that (for a
 * stream: after exchange_stream_end or the call of on_gone). A client that goes away in between is
 * noticed when the reply is sent; the handler need not care. Loop thread only.
 */
#ifndef SUPERVISOR_HTTP_EXCHANGE_H
#define SUPERVISOR_HTTP_EXCHANGE_H

#include "common/codec.h"

struct exchange;

struct exchange_request {
    struct span method; /* one of GET POST PUT DELETE PATCH HEAD OPTIONS */
    struct span target; /* as received, origin form: "/objects/hello?a=1" */
    struct span path;   /* percent-decoded path, valid UTF-8 or not, no NUL; "/objects/hello" */
    struct span query;  /* raw, without '?' */
    struct span head;   /* raw header fields, "Name: value\r\n" each */
    struct span body;   /* small bodies */
    int body_fd;        /* sealed memfd of a large body, else -1; owned by the exchange */
    uint64_t body_size; /* of either */
    const char *remote_addr; /* "127.0.0.1", "::1", "unix" */
    bool is_local;           /* loopback or Unix socket */
    bool is_inside;          /* no client's: a turn asks (inside.h) */
    struct span request_id;  /* X-Request-Id of the client when well-formed (1..128 of [!-~]) */
    uint64_t arrived_ns;     /* monotonic */
};

const struct exchange_request *exchange_request(const struct exchange *x);
/*
 * The id under which the station logs this exchange, sent as X-Request-Id with the reply. One that
 * the client gave stays. Cut to 159 bytes.
 */
void exchange_set_request_id(struct exchange *x, const char *id);
/* Value of a header field (first of that name, case-insensitive, trimmed); data NULL when absent.
 */
struct span exchange_header(const struct exchange *x, const char *name);
/* 0 when management is allowed, else the status to refuse with, and *why (static). */
unsigned exchange_management(const struct exchange *x, const char **why);
/* Value of a query parameter, percent-decoded into out; false when absent. */
bool exchange_query(const struct exchange *x, const char *name, struct buf *out);

struct exchange_field {
    const char *name;
    const char *value;
};

struct exchange_reply {
    unsigned status;
    const char *content_type; /* NULL: none */
    const struct exchange_field *fields;
    size_t field_count;
    char *body;       /* malloc'd, taken over; NULL: empty, or body_fd */
    size_t body_size; /* of body or of body_fd */
    int body_fd;  /* verified sealed memfd, taken over; < 1: none (so zero-initialising works) */
    bool is_file; /* body_fd is a file of the station's own instead, not counted as a body */
    uint64_t body_offset; /* in that file */
    bool close;           /* close the connection afterwards */
};
/* Takes the reply's body over in any case; a lack of memory closes the connection. */
void exchange_reply(struct exchange *x, const struct exchange_reply *reply);
/*
 * {"status":"error","error":message, …extra} with that status. `extra` is NULL or further members
 * as JSON text, such as "\"limit\":\"queue_object\"". Adds Retry-After (1, or what was given) to
 * 503 and 429, and X-Request-Id.
 */
void exchange_error(struct exchange *x, unsigned status, const char *extra, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Seconds for that field of a later exchange_error(). */
void exchange_retry_after(struct exchange *x, uint64_t seconds);
/* The text of that. */
void exchange_error_text(struct buf *json, const char *extra, const char *text);

/* The same with 405 and Allow. */
void exchange_error_method(struct exchange *x, const char *allow, const char *text);

/*
 * A reply whose body comes in pieces: status and fields now, then the front calls on_pull(context)
 * each time it can take one more chunk, and on_gone(context) when the client has gone or the stream
 * was ended (the exchange is dead on return; always called exactly once).
 */
struct exchange_stream {
    void (*on_pull)(void *context);
    void (*on_gone)(void *context);
    void *context;
};
void exchange_stream_begin(struct exchange *x, const struct exchange_reply *head,
                           const struct exchange_stream *stream);
/* One chunk after one on_pull; takes the malloc'd bytes over. */
void exchange_stream_chunk(struct exchange *x, char *bytes, size_t size);
/* failed: cut the connection so that the client sees an incomplete body. */
void exchange_stream_end(struct exchange *x, bool failed);
/* Closes the connection of a reader that may never take the rest; on_gone follows. */
void exchange_stream_abort(struct exchange *x);

/*
 * A body that is looked at while it arrives: asked for by the front's receiver, when a POST with a
 * form (multipart/form-data) and a body begins. The receiver may call exchange_receive(), once;
 * otherwise, and as long as on_bytes says KEEP, the body is gathered as usual. The sink borrows the
 * exchange until on_end or on_gone; only exchange_request() without its body, exchange_header() and
 * exchange_query() are of use before on_end.
 */
enum exchange_taking {
    EXCHANGE_BODY_KEEP,    /* gather it, within body_max and bodies_max */
    EXCHANGE_BODY_TAKEN,   /* this and all that follows is the sink's; what was gathered goes */
    EXCHANGE_BODY_REFUSED, /* exchange_refuse_body() was called */
};
struct exchange_sink {
    enum exchange_taking (*on_bytes)(void *context, const char *bytes, size_t size);
    /* All of a body that was TAKEN is here: answer the exchange, now or later. */
    void (*on_end)(void *context);
    /*
     * The sink is done with: its client has gone before the end, or the body was refused, or not
     * TAKEN (the handler gets the exchange next). Always called, exactly once, unless on_end was.
     */
    void (*on_gone)(void *context);
};
void exchange_receive(struct exchange *x, const struct exchange_sink *sink, void *context);
/* From the receiver: no byte is read until exchange_resume_body(), which comes later. */
void exchange_pause_body(struct exchange *x);
void exchange_resume_body(struct exchange *x);
/* Bytes that are still to come, as far as the client has said how many; else UINT64_MAX. */
uint64_t exchange_body_left(const struct exchange *x);
/* From on_bytes: answers as exchange_error() does and closes the connection, the body unread. */
void exchange_refuse_body(struct exchange *x, unsigned status, const char *extra,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
