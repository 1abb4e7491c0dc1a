// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/guard_head.h"

#include "supervisor/http/target.h"

#include <strings.h>

enum { TOKEN = 1, VALUE = 2, TARGET = 4, HOST = 8 };
enum { LENGTH_DIGITS_MAX = 19 }; /* always fits 64 bits */

#define T TOKEN | VALUE | TARGET
#define H TOKEN | VALUE | TARGET | HOST
#define V VALUE | TARGET
#define A VALUE | TARGET | HOST
/* RFC 9110 token, field value; RFC 3986 characters (a little more, as browsers send it); what a
 * host name or an address with a port is made of. */
static const unsigned char classes[256] = {
    ['\t'] = VALUE,    [' '] = VALUE,
    ['"'] = V,         ['('] = V,
    [')'] = V,         [','] = V,
    ['/'] = V,         [';'] = V,
    ['<'] = V,         ['='] = V,
    ['>'] = V,         ['?'] = V,
    ['@'] = V,         ['\\'] = V,
    ['{'] = V,         ['}'] = V,
    ['['] = A,         [']'] = A,
    [':'] = A,         ['!'] = T,
    ['$'] = T,         ['%'] = T,
    ['&'] = T,         ['\''] = T,
    ['*'] = T,         ['+'] = T,
    ['^'] = T,         ['`'] = T,
    ['|'] = T,         ['~'] = T,
    ['-'] = H,         ['.'] = H,
    ['_'] = H,         ['#'] = TOKEN | VALUE,
    ['0' ... '9'] = H, ['A' ... 'Z'] = H,
    ['a' ... 'z'] = H, [0x80 ... 0xff] = VALUE,
};
#undef T
#undef H
#undef V
#undef A

bool guard_is_token_char(unsigned char c)
{
    return classes[c] & TOKEN;
}

bool guard_is_value_char(unsigned char c)
{
    return classes[c] & VALUE;
}

static bool all_of(const char *text, size_t len, unsigned char class)
{
    for (size_t i = 0; i < len; i++) {
        if (!(classes[(unsigned char)text[i]] & class))
            return false;
    }
    return true;
}

static const char *slice_text(const struct guard *g, struct guard_slice slice)
{
    return g->bytes + slice.at;
}

static bool slice_is(const struct guard *g, struct guard_slice slice, const char *text, size_t len)
{
    return slice.len == len && strncasecmp(slice_text(g, slice), text, len) == 0;
}

static bool slices_equal(const struct guard *g, struct guard_slice a, struct guard_slice b)
{
    return slice_is(g, a, slice_text(g, b), b.len);
}

static enum guard_violation take_method(struct guard *g, const char *text, size_t len)
{
    if (len == 0 || !all_of(text, len, TOKEN))
        return GUARD_BAD_request_line;
    for (int m = 0; m < GUARD_METHODS; m++) {
        struct span name = guard_method_name((enum guard_method)m);
        if (name.len == len && memcmp(name.data, text, len) == 0) {
            g->head.method = (enum guard_method)m;
            return GUARD_FINE;
        }
    }
    return GUARD_BAD_method;
}

static enum guard_violation take_version(struct guard *g, const char *text, size_t len)
{
    if (len != 8 || memcmp(text, "HTTP/", 5) != 0 || text[6] != '.' || text[5] < '0' ||
        text[5] > '9' || text[7] < '0' || text[7] > '9')
        return GUARD_BAD_request_line;
    if (text[5] != '1' || text[7] > '1')
        return GUARD_BAD_version;
    g->head.http10 = text[7] == '0';
    return GUARD_FINE;
}

/* Cuts "http://host" off, leaving the origin form. */
static enum guard_violation take_absolute(struct guard *g, struct guard_slice *target)
{
    enum { SCHEME_LEN = 7 };
    const char *text = slice_text(g, *target);
    if (target->len <= SCHEME_LEN || strncasecmp(text, "http://", SCHEME_LEN) != 0)
        return GUARD_BAD_target;
    size_t end = SCHEME_LEN;
    while (end < target->len && classes[(unsigned char)text[end]] & HOST)
        end++;
    if (end == SCHEME_LEN || (end < target->len && text[end] != '/'))
        return GUARD_BAD_target;
    g->head.authority = (struct guard_slice){target->at + SCHEME_LEN, (uint32_t)(end - SCHEME_LEN)};
    *target = (struct guard_slice){target->at + (uint32_t)end, target->len - (uint32_t)end};
    return GUARD_FINE;
}

static enum guard_violation take_target(struct guard *g, struct guard_slice target)
{
    if (target.len == 0)
        return GUARD_BAD_request_line;
    if (target.len > g->limits->target_max)
        return GUARD_BAD_target_long;
    const char *text = slice_text(g, target);
    if (!all_of(text, target.len, TARGET))
        return GUARD_BAD_target;
    if (text[0] != '/') {
        bool asterisk = target.len == 1 && text[0] == '*' && g->head.method == GUARD_OPTIONS;
        enum guard_violation bad = asterisk ? GUARD_FINE : take_absolute(g, &target);
        if (bad)
            return bad;
    }
    struct span path, query;
    target_split((struct span){slice_text(g, target), target.len}, &path, &query);
    if (!target_path_is_clean(path))
        return GUARD_BAD_target_encoding;
    g->head.target = target;
    return GUARD_FINE;
}

enum guard_violation guard_head_request_line(struct guard *g, struct guard_slice line)
{
    const char *text = slice_text(g, line);
    const char *space = memchr(text, ' ', line.len);
    const char *last = memrchr(text, ' ', line.len);
    if (!space || space == last)
        return GUARD_BAD_request_line;
    enum guard_violation bad = take_method(g, text, (size_t)(space - text));
    if (bad)
        return bad;
    /* The version first: what follows it decides how to read the rest. */
    bad = take_version(g, last + 1, line.len - (size_t)(last + 1 - text));
    if (bad)
        return bad;
    uint32_t at = (uint32_t)(space + 1 - text);
    return take_target(g, (struct guard_slice){line.at + at, (uint32_t)(last - text) - at});
}

static enum guard_violation take_once(struct guard_slice *place, struct guard_slice value,
                                      enum guard_violation twice)
{
    if (place->at)
        return twice;
    *place = value;
    return GUARD_FINE;
}

static enum guard_violation take_host(struct guard *g, struct guard_slice value)
{
    if (!all_of(slice_text(g, value), value.len, HOST))
        return GUARD_BAD_host_malformed;
    return take_once(&g->head.host, value, GUARD_BAD_host_twice);
}

static enum guard_violation take_length(struct guard *g, struct guard_slice value)
{
    const char *text = slice_text(g, value);
    if (value.len == 0)
        return GUARD_BAD_length_malformed;
    uint64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return GUARD_BAD_length_malformed;
        if (i < LENGTH_DIGITS_MAX)
            length = length * 10 + (uint64_t)(text[i] - '0');
    }
    if (value.len > LENGTH_DIGITS_MAX)
        return GUARD_BAD_body_long;
    if (g->head.length_text.at && !slices_equal(g, g->head.length_text, value))
        return GUARD_BAD_length_differs;
    g->head.length_text = value;
    g->head.length = length;
    return GUARD_FINE;
}

static enum guard_violation take_transfer_encoding(struct guard *g, struct guard_slice value)
{
    if (g->head.chunked || !slice_is(g, value, "chunked", 7))
        return GUARD_BAD_transfer_encoding;
    g->head.chunked = true;
    return GUARD_FINE;
}

static struct guard_slice trimmed(const struct guard *g, struct guard_slice slice)
{
    const char *text = slice_text(g, slice);
    uint32_t from = 0, to = slice.len;
    while (from < to && (text[from] == ' ' || text[from] == '\t'))
        from++;
    while (to > from && (text[to - 1] == ' ' || text[to - 1] == '\t'))
        to--;
    return (struct guard_slice){slice.at + from, to - from};
}

static void take_connection(struct guard *g, struct guard_slice value)
{
    while (value.len > 0) {
        const char *text = slice_text(g, value);
        const char *comma = memchr(text, ',', value.len);
        uint32_t len = comma ? (uint32_t)(comma - text) : value.len;
        struct guard_slice option = trimmed(g, (struct guard_slice){value.at, len});
        if (slice_is(g, option, "close", 5))
            g->head.wants_close = true;
        else if (slice_is(g, option, "keep-alive", 10))
            g->head.wants_keep_alive = true;
        uint32_t used = comma ? len + 1 : len;
        value = (struct guard_slice){value.at + used, value.len - used};
    }
}

static void take_request_id(struct guard *g, struct guard_slice value)
{
    const char *text = slice_text(g, value);
    if (value.len == 0 || value.len > GUARD_REQUEST_ID_MAX || g->head.request_id.at)
        return;
    for (size_t i = 0; i < value.len; i++) {
        if (text[i] < '!' || text[i] > '~')
            return;
    }
    g->head.request_id = value;
}

static void take_content_type(struct guard *g, struct guard_slice value)
{
    static const char form[] = "multipart/form-data";
    if (value.len >= sizeof(form) - 1)
        g->head.has_form |=
            slice_is(g, (struct guard_slice){value.at, sizeof(form) - 1}, form, sizeof(form) - 1);
}

static enum guard_violation take_expect(struct guard *g, struct guard_slice value)
{
    if (!slice_is(g, value, "100-continue", 12))
        return GUARD_BAD_expectation;
    g->head.expects_continue = true;
    return GUARD_FINE;
}

/* The fields that steer framing, connection and policies; everything else is only carried. */
static enum guard_violation take_field(struct guard *g, struct guard_slice name,
                                       struct guard_slice value)
{
    switch (name.len) {
    case 4:
        return slice_is(g, name, "host", 4) ? take_host(g, value) : GUARD_FINE;
    case 6:
        if (slice_is(g, name, "expect", 6))
            return take_expect(g, value);
        if (slice_is(g, name, "origin", 6))
            return take_once(&g->head.origin, value, GUARD_BAD_origin_twice);
        return GUARD_FINE;
    case 10:
        if (slice_is(g, name, "connection", 10))
            take_connection(g, value);
        return GUARD_FINE;
    case 12:
        if (slice_is(g, name, "x-request-id", 12))
            take_request_id(g, value);
        else if (slice_is(g, name, "content-type", 12))
            take_content_type(g, value);
        return GUARD_FINE;
    case 14:
        if (slice_is(g, name, "content-length", 14))
            return take_length(g, value);
        if (slice_is(g, name, "sec-fetch-site", 14))
            return take_once(&g->head.fetch_site, value, GUARD_BAD_origin_twice);
        return GUARD_FINE;
    case 17:
        return slice_is(g, name, "transfer-encoding", 17) ? take_transfer_encoding(g, value)
                                                          : GUARD_FINE;
    default:
        return GUARD_FINE;
    }
}

enum guard_violation guard_head_field(struct guard *g, struct guard_slice line)
{
    const char *text = slice_text(g, line);
    if (text[0] == ' ' || text[0] == '\t')
        return GUARD_BAD_obs_fold;
    if (g->head.field_count >= g->limits->fields_max)
        return GUARD_BAD_fields_many;
    g->head.field_count++;
    uint32_t colon = 0;
    while (colon < line.len && classes[(unsigned char)text[colon]] & TOKEN)
        colon++;
    if (colon == 0 || colon == line.len || text[colon] != ':')
        return GUARD_BAD_field_name;
    struct guard_slice name = {line.at, colon};
    struct guard_slice value = {line.at + colon + 1, line.len - colon - 1};
    if (!all_of(slice_text(g, value), value.len, VALUE))
        return GUARD_BAD_field_value;
    return take_field(g, name, trimmed(g, value));
}

enum guard_violation guard_head_finish(struct guard *g)
{
    const struct guard_head *head = &g->head;
    if (!head->http10 && !head->host.at)
        return GUARD_BAD_host_missing;
    if (head->authority.at && head->host.at && !slices_equal(g, head->authority, head->host))
        return GUARD_BAD_target_host;
    if (head->chunked && head->length_text.at)
        return GUARD_BAD_length_and_chunked;
    if (head->chunked && head->http10)
        return GUARD_BAD_transfer_encoding;
    if (head->length > guard_body_max(g))
        return guard_body_long(g);
    return GUARD_FINE;
}
