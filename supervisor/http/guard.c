// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/guard.h"

#include "supervisor/http/guard_head.h"

#include <stdlib.h>

enum {
    FIRST_CAP = 4096,
    REQUEST_LINE_EXTRA = 24, /* method, version and the spaces between */
};

static const struct guard_violation_info violations[GUARD_VIOLATIONS] = {
    [GUARD_FINE] = {"fine", 200, NULL, "fine"},
#define GUARD_VIOLATION(name, status, limit, text) \
    [GUARD_BAD_##name] = {#name, status, limit, text},
#include "supervisor/http/guard_violations.def"
#undef GUARD_VIOLATION
};

const struct guard_violation_info *guard_violation_info(enum guard_violation violation)
{
    return &violations[violation];
}

static const struct span method_names[GUARD_METHODS] = {
    [GUARD_GET] = {"GET", 3},         [GUARD_HEAD_METHOD] = {"HEAD", 4},
    [GUARD_POST] = {"POST", 4},       [GUARD_PUT] = {"PUT", 3},
    [GUARD_DELETE] = {"DELETE", 6},   [GUARD_PATCH] = {"PATCH", 5},
    [GUARD_OPTIONS] = {"OPTIONS", 7},
};

struct span guard_method_name(enum guard_method method)
{
    return method_names[method];
}

void guard_init(struct guard *g, const struct guard_limits *limits)
{
    *g = (struct guard){.limits = limits};
}

void guard_free(struct guard *g)
{
    free(g->bytes);
    g->bytes = NULL;
}

char *guard_detach(struct guard *g)
{
    char *bytes = g->bytes;
    g->bytes = NULL;
    g->cap = g->len = g->taken = 0;
    return bytes;
}

void guard_reject(struct guard *g, enum guard_violation violation)
{
    g->state = GUARD_REJECTED;
    g->violation = violation;
}

static bool make_room(struct guard *g, size_t extra)
{
    if (g->cap - g->len >= extra)
        return true;
    size_t cap = g->cap ? g->cap : FIRST_CAP;
    while (cap - g->len < extra)
        cap *= 2;
    char *grown = realloc(g->bytes, cap);
    if (!grown)
        return false;
    g->bytes = grown;
    g->cap = cap;
    return true;
}

char *guard_room(struct guard *g, size_t *room)
{
    if (!make_room(g, 1))
        return NULL;
    *room = g->cap - g->len;
    return g->bytes + g->len;
}

void guard_received(struct guard *g, size_t n)
{
    g->len += n;
}

bool guard_keep(struct guard *g, const char *bytes, size_t n)
{
    if (!make_room(g, n))
        return false;
    memcpy(g->bytes + g->len, bytes, n);
    g->len += n;
    return true;
}

static void begin_body(struct guard *g)
{
    g->taken = g->scan;
    g->state = GUARD_BODY;
    g->body_left = g->head.length;
    g->body_size = 0;
    g->chunk = CHUNK_SIZE;
    g->chunk_digits = g->extension_size = g->trailer_size = 0;
    if (!g->head.chunked && g->body_left == 0)
        g->state = GUARD_COMPLETE;
}

static enum guard_violation end_of_head(struct guard *g, size_t line)
{
    g->head.fields.len = (uint32_t)line - g->head.fields.at;
    enum guard_violation bad = guard_head_finish(g);
    if (!bad)
        begin_body(g);
    return bad;
}

/* len: without the line feed, carriage return included. */
static enum guard_violation take_line(struct guard *g, size_t line, size_t len)
{
    const char *text = g->bytes + line;
    if (!g->in_fields && len > g->limits->target_max + REQUEST_LINE_EXTRA)
        return GUARD_BAD_target_long;
    if (g->in_fields && line + len + 1 > g->limits->head_max)
        return GUARD_BAD_head_long;
    if (len == 0 || text[len - 1] != '\r')
        return GUARD_BAD_bare_lf;
    len--;
    if (memchr(text, '\r', len))
        return GUARD_BAD_bare_cr;
    struct guard_slice slice = {(uint32_t)line, (uint32_t)len};
    if (g->in_fields)
        return len == 0 ? end_of_head(g, line) : guard_head_field(g, slice);
    if (len == 0)
        return ++g->empty_lines > GUARD_EMPTY_LINES_MAX ? GUARD_BAD_empty_lines : GUARD_FINE;
    g->in_fields = true;
    g->head.fields.at = (uint32_t)g->scan;
    return guard_head_request_line(g, slice);
}

/* A line that has not ended yet may be too long already, or no HTTP at all. */
static enum guard_violation judge_partial(const struct guard *g)
{
    size_t len = g->len - g->line;
    if (g->in_fields)
        return g->len >= g->limits->head_max ? GUARD_BAD_head_long : GUARD_FINE;
    return len > g->limits->target_max + REQUEST_LINE_EXTRA ? GUARD_BAD_target_long : GUARD_FINE;
}

static bool begins_like_http(const struct guard *g)
{
    unsigned char first = (unsigned char)g->bytes[g->line];
    return first == '\r' || first == '\n' || guard_is_token_char(first);
}

static enum guard_violation parse_lines(struct guard *g)
{
    while (g->state == GUARD_HEAD && g->len > g->scan) {
        if (!g->in_fields && !begins_like_http(g))
            return GUARD_BAD_not_http;
        const char *lf = memchr(g->bytes + g->scan, '\n', g->len - g->scan);
        if (!lf) {
            g->scan = g->len;
            return judge_partial(g);
        }
        size_t line = g->line;
        size_t len = (size_t)(lf - g->bytes) - line;
        g->scan = g->line = line + len + 1;
        enum guard_violation bad = take_line(g, line, len);
        if (bad)
            return bad;
    }
    return GUARD_FINE;
}

enum guard_state guard_parse(struct guard *g)
{
    if (g->state == GUARD_HEAD) {
        enum guard_violation bad = parse_lines(g);
        if (bad)
            guard_reject(g, bad);
    }
    return g->state;
}

static size_t put(char *out, size_t at, const char *text, size_t len)
{
    memcpy(out + at, text, len);
    return at + len;
}

#define PUT(text) n = put(out, n, text, sizeof(text) - 1)

size_t guard_canonical(const struct guard *g, char out[GUARD_CANONICAL_MAX])
{
    const struct guard_head *head = &g->head;
    struct span method = guard_method_name(head->method);
    size_t n = put(out, 0, method.data, method.len);
    if (head->http10)
        PUT(" / HTTP/1.0\r\n");
    else
        PUT(" / HTTP/1.1\r\n");
    if (head->chunked) {
        PUT("Transfer-Encoding:chunked\r\n");
    } else if (head->length > 0) {
        PUT("Content-Length:");
        struct span length = guard_span(g, head->length_text);
        n = put(out, n, length.data, length.len);
        PUT("\r\n");
    }
    if (head->expects_continue && !head->http10 && (head->chunked || head->length > 0))
        PUT("Expect:100-continue\r\n");
    if (head->wants_close)
        PUT("Connection:close\r\n");
    else if (head->http10 && head->wants_keep_alive)
        PUT("Connection:keep-alive\r\n");
    PUT("\r\n");
    return n;
}

struct span guard_target(const struct guard *g)
{
    if (g->head.target.len == 0)
        return (struct span){"/", 1};
    return guard_span(g, g->head.target);
}

void guard_next(struct guard *g)
{
    size_t left = g->len - g->taken;
    if (left > 0) {
        memmove(g->bytes, g->bytes + g->taken, left);
    } else if (g->cap > FIRST_CAP) {
        guard_free(g); /* an unusually long head is no reason to keep the memory */
        g->cap = 0;
    }
    g->len = left;
    g->taken = g->scan = g->line = 0;
    g->empty_lines = 0;
    g->in_fields = false;
    g->head = (struct guard_head){0};
    g->state = GUARD_HEAD;
}
