// SPDX-License-Identifier: Apache-2.0
/*
 * guard - decides about the bytes of one connection before libmicrohttpd sees any of them.
 *
 * libmicrohttpd accepts much that RFC 9112 forbids, and answers what it refuses in HTML. So the
 * guard parses every request itself, strictly, and hands on a *canonical* head of at most
 * GUARD_CANONICAL_MAX bytes: method, "/", version and the few fields that steer framing and the
 * connection. Nothing of the client's head reaches the library, so the two cannot disagree about
 * it. Bodies are passed as they are; their framing is checked.
 *
 * A pure state machine: no I/O, no clock. It owns a buffer with the head of the current request
 * (slices below are offsets into it, valid until guard_next()) and the bytes received after it.
 * The verdict does not depend on how the bytes were split. One thread.
 *
 *   HEAD:      guard_room(), receive there, guard_received(); guard_parse() until it has a head
 *   BODY:      guard_take() for bytes already here, guard_body() for bytes received elsewhere
 *   COMPLETE:  a whole request was passed; guard_next() once it was answered
 *   REJECTED:  guard_violation() says why; the connection is over
 */
#ifndef SUPERVISOR_HTTP_GUARD_H
#define SUPERVISOR_HTTP_GUARD_H

#include "common/codec.h"

struct guard_limits {
    uint64_t head_max;   /* bytes of request line and fields */
    uint64_t fields_max; /* number of fields */
    uint64_t target_max; /* bytes */
    uint64_t body_max;   /* bytes, after undoing chunked framing */
    uint64_t upload_max; /* the same, of a POST with a form that may hold files; 0: body_max */
};

enum {
    GUARD_CANONICAL_MAX = 160,
    GUARD_EXTENSION_MAX = 256, /* bytes of one chunk extension */
    GUARD_TRAILER_MAX = 4096,  /* bytes of all trailer fields */
    GUARD_TRAILER_NAME_MAX = 20,
    GUARD_EMPTY_LINES_MAX = 2,
    GUARD_REQUEST_ID_MAX = 128,
};

enum guard_violation {
    GUARD_FINE,
#define GUARD_VIOLATION(name, status, limit, text) GUARD_BAD_##name,
#include "supervisor/http/guard_violations.def"
#undef GUARD_VIOLATION
    GUARD_VIOLATIONS
};

struct guard_violation_info {
    const char *name;
    unsigned status;
    const char *limit; /* NULL: none */
    const char *text;
};
const struct guard_violation_info *guard_violation_info(enum guard_violation violation);

enum guard_method {
    GUARD_GET,
    GUARD_HEAD_METHOD,
    GUARD_POST,
    GUARD_PUT,
    GUARD_DELETE,
    GUARD_PATCH,
    GUARD_OPTIONS,
    GUARD_METHODS
};

struct guard_slice {
    uint32_t at; /* 0: absent (nothing but the method begins there) */
    uint32_t len;
};

struct guard_head {
    enum guard_method method;
    struct guard_slice target;    /* origin form; empty: an absolute target without a path, "/" */
    struct guard_slice fields;    /* "Name: value\r\n" each */
    struct guard_slice authority; /* of an absolute target */
    struct guard_slice host, origin, fetch_site, request_id, length_text;
    uint32_t field_count;
    bool http10;
    bool wants_close, wants_keep_alive, expects_continue;
    bool chunked;
    bool has_form;   /* Content-Type: multipart/form-data */
    uint64_t length; /* of a body with Content-Length */
};

enum guard_state { GUARD_HEAD, GUARD_BODY, GUARD_COMPLETE, GUARD_REJECTED };

enum guard_chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER_START,
    CHUNK_TRAILER_NAME,
    CHUNK_TRAILER_VALUE,
    CHUNK_TRAILER_LF,
    CHUNK_LAST_LF,
};

struct guard {
    const struct guard_limits *limits; /* borrowed */
    enum guard_state state;
    enum guard_violation violation;
    char *bytes; /* the head, then what was received after it */
    size_t cap, len;
    size_t taken; /* handed on; in HEAD: 0 */
    size_t scan;  /* searched for the end of the current line */
    size_t line;  /* start of the current line */
    unsigned empty_lines;
    bool in_fields;
    struct guard_head head;

    uint64_t body_left; /* of a length-framed body or of the current chunk */
    uint64_t body_size; /* of all chunks so far */
    enum guard_chunk_state chunk;
    unsigned chunk_digits, extension_size, trailer_size;
    unsigned name_len;
    char name[GUARD_TRAILER_NAME_MAX]; /* beginning of a trailer's name, lower case */
};

void guard_init(struct guard *g, const struct guard_limits *limits);
void guard_free(struct guard *g);

/* Where to receive bytes while in HEAD, and how many fit; NULL when memory is short. */
char *guard_room(struct guard *g, size_t *room);
void guard_received(struct guard *g, size_t n);
/* In HEAD: looks at what is here. The state afterwards is the answer (HEAD: more is needed). */
enum guard_state guard_parse(struct guard *g);
/* Writes the canonical head, never longer than the head it stands for; returns its length. */
size_t guard_canonical(const struct guard *g, char out[GUARD_CANONICAL_MAX]);

/* Moves bytes of the body that are already here; 0 when there are none. */
size_t guard_take(struct guard *g, char *dest, size_t max);
/*
 * Looks at received bytes of a body and returns how many of them belong to this request; the rest
 * is for guard_keep(). Less than all of them only when COMPLETE or REJECTED.
 */
size_t guard_body(struct guard *g, const char *bytes, size_t n);
/* Bytes that a receiver may ask for in one piece without running into the next request. */
uint64_t guard_body_wants(const struct guard *g);
/* Keeps bytes of the next request; false when memory is short. */
bool guard_keep(struct guard *g, const char *bytes, size_t n);

/* The request was answered: on to the next, whose first bytes may be here already. */
void guard_next(struct guard *g);
void guard_reject(struct guard *g, enum guard_violation violation);

static inline bool guard_has_more(const struct guard *g)
{
    return g->len > g->taken;
}

/* Bytes that its body may have. */
uint64_t guard_body_max(const struct guard *g);
/* The limit that one above it breaks. */
enum guard_violation guard_body_long(const struct guard *g);

struct span guard_method_name(enum guard_method method);
static inline struct span guard_span(const struct guard *g, struct guard_slice slice)
{
    return (struct span){slice.at ? g->bytes + slice.at : NULL, slice.len};
}
/* Origin form, at least "/". */
struct span guard_target(const struct guard *g);
/* Hands the buffer over (free()): for a request that outlives its connection. */
char *guard_detach(struct guard *g);

#endif
