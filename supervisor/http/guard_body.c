// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/guard.h"

#include "supervisor/http/guard_head.h"

enum { CHUNK_DIGITS_MAX = 15 /* always fits 63 bits */ };

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint64_t guard_body_max(const struct guard *g)
{
    bool may_upload = g->head.method == GUARD_POST && g->head.has_form;
    return may_upload && g->limits->upload_max > g->limits->body_max ? g->limits->upload_max
                                                                     : g->limits->body_max;
}

enum guard_violation guard_body_long(const struct guard *g)
{
    return guard_body_max(g) > g->limits->body_max ? GUARD_BAD_upload_long : GUARD_BAD_body_long;
}

/* Fields that frame or route a message must not come after it. */
static bool trailer_is_forbidden(const struct guard *g)
{
    static const char *const names[] = {
        "content-length", "transfer-encoding", "host", "connection", "expect", "trailer"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (g->name_len == strlen(names[i]) && memcmp(g->name, names[i], g->name_len) == 0)
            return true;
    }
    return false;
}

static enum guard_violation end_of_size(struct guard *g)
{
    if (g->body_left > guard_body_max(g) - g->body_size)
        return guard_body_long(g);
    g->body_size += g->body_left;
    g->chunk = g->body_left ? CHUNK_DATA : CHUNK_TRAILER_START;
    return GUARD_FINE;
}

static enum guard_violation size_byte(struct guard *g, unsigned char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        if (g->chunk_digits == 0)
            g->body_left = 0;
        if (++g->chunk_digits > CHUNK_DIGITS_MAX)
            return GUARD_BAD_chunk_size;
        g->body_left = g->body_left * 16 + (uint64_t)digit;
        return GUARD_FINE;
    }
    if (g->chunk_digits == 0 || (c != '\r' && c != ';'))
        return c == '\n' && g->chunk_digits ? GUARD_BAD_bare_lf : GUARD_BAD_chunk_size;
    g->extension_size = 0;
    g->chunk = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
    return GUARD_FINE;
}

static enum guard_violation extension_byte(struct guard *g, unsigned char c)
{
    if (c == '\r') {
        g->chunk = CHUNK_SIZE_LF;
        return GUARD_FINE;
    }
    if (c == '\n')
        return GUARD_BAD_bare_lf;
    if (!guard_is_value_char(c) || c >= 0x80 || ++g->extension_size > GUARD_EXTENSION_MAX)
        return GUARD_BAD_chunk_extension;
    return GUARD_FINE;
}

static enum guard_violation trailer_start(struct guard *g, unsigned char c)
{
    if (c == '\r') {
        g->chunk = CHUNK_LAST_LF;
        return GUARD_FINE;
    }
    if (c == '\n')
        return GUARD_BAD_bare_lf;
    if (c == ' ' || c == '\t')
        return GUARD_BAD_obs_fold;
    if (!guard_is_token_char(c))
        return GUARD_BAD_trailer;
    g->name_len = 1;
    g->name[0] = (char)(c | 0x20);
    g->chunk = CHUNK_TRAILER_NAME;
    return GUARD_FINE;
}

static enum guard_violation trailer_name(struct guard *g, unsigned char c)
{
    if (c == ':') {
        if (trailer_is_forbidden(g))
            return GUARD_BAD_trailer;
        g->chunk = CHUNK_TRAILER_VALUE;
        return GUARD_FINE;
    }
    if (!guard_is_token_char(c))
        return GUARD_BAD_trailer;
    /* A name longer than the buffer equals none of the forbidden ones; its length says so. */
    if (g->name_len < GUARD_TRAILER_NAME_MAX)
        g->name[g->name_len] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : (char)c;
    g->name_len++;
    return GUARD_FINE;
}

static enum guard_violation trailer_value(struct guard *g, unsigned char c)
{
    if (c == '\r')
        g->chunk = CHUNK_TRAILER_LF;
    else if (c == '\n')
        return GUARD_BAD_bare_lf;
    else if (!guard_is_value_char(c))
        return GUARD_BAD_trailer;
    return GUARD_FINE;
}

static enum guard_violation expect_byte(struct guard *g, unsigned char c, unsigned char wanted,
                                        enum guard_chunk_state next, enum guard_violation bad)
{
    if (c != wanted)
        return bad;
    g->chunk = next;
    return GUARD_FINE;
}

static enum guard_violation trailer_byte(struct guard *g, unsigned char c)
{
    if (++g->trailer_size > GUARD_TRAILER_MAX)
        return GUARD_BAD_trailer_long;
    switch (g->chunk) {
    case CHUNK_TRAILER_START:
        return trailer_start(g, c);
    case CHUNK_TRAILER_NAME:
        return trailer_name(g, c);
    case CHUNK_TRAILER_VALUE:
        return trailer_value(g, c);
    case CHUNK_TRAILER_LF:
        return expect_byte(g, c, '\n', CHUNK_TRAILER_START, GUARD_BAD_bare_cr);
    default:
        if (c != '\n')
            return GUARD_BAD_bare_cr;
        g->state = GUARD_COMPLETE;
        return GUARD_FINE;
    }
}

static enum guard_violation framing_byte(struct guard *g, unsigned char c)
{
    switch (g->chunk) {
    case CHUNK_SIZE:
        return size_byte(g, c);
    case CHUNK_EXTENSION:
        return extension_byte(g, c);
    case CHUNK_SIZE_LF:
        return c == '\n' ? end_of_size(g) : GUARD_BAD_bare_cr;
    case CHUNK_DATA_CR:
        return expect_byte(g, c, '\r', CHUNK_DATA_LF, GUARD_BAD_chunk_end);
    case CHUNK_DATA_LF:
        g->chunk_digits = 0;
        return expect_byte(g, c, '\n', CHUNK_SIZE, GUARD_BAD_chunk_end);
    default:
        return trailer_byte(g, c);
    }
}

static size_t skip_data(struct guard *g, size_t n)
{
    size_t skip = n < g->body_left ? n : (size_t)g->body_left;
    g->body_left -= skip;
    return skip;
}

static size_t chunked_body(struct guard *g, const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n && g->state == GUARD_BODY) {
        if (g->chunk == CHUNK_DATA) {
            i += skip_data(g, n - i);
            if (g->body_left == 0)
                g->chunk = CHUNK_DATA_CR;
            continue;
        }
        enum guard_violation bad = framing_byte(g, (unsigned char)bytes[i]);
        if (bad) {
            guard_reject(g, bad);
            return i;
        }
        i++;
    }
    return i;
}

size_t guard_body(struct guard *g, const char *bytes, size_t n)
{
    if (g->state != GUARD_BODY)
        return 0;
    if (g->head.chunked)
        return chunked_body(g, bytes, n);
    size_t used = skip_data(g, n);
    if (g->body_left == 0)
        g->state = GUARD_COMPLETE;
    return used;
}

uint64_t guard_body_wants(const struct guard *g)
{
    return g->head.chunked ? UINT64_MAX : g->body_left;
}

size_t guard_take(struct guard *g, char *dest, size_t max)
{
    size_t n = g->len - g->taken;
    if (n > max)
        n = max;
    if (n == 0)
        return 0;
    size_t used = guard_body(g, g->bytes + g->taken, n);
    memcpy(dest, g->bytes + g->taken, used);
    g->taken += used;
    return used;
}
