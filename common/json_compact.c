// SPDX-License-Identifier: Apache-2.0
#include "common/json_compact.h"

#include "common/utf8.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct json_form json_form_of(struct span value)
{
    struct json_form form = {.compact = true};
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c == '"') {
            in_string = !in_string;
        } else if (in_string) {
            if (c != '\\')
                continue;
            form.compact = false;
            i++; /* what is escaped closes no string */
        } else if (c == '{' || c == '[') {
            if (++depth > form.depth)
                form.depth = depth;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (is_space(c)) {
            form.compact = false;
        }
    }
    return form;
}

/* --- escapes ---------------------------------------------------------------------------------- */

enum { LONE_SURROGATE = -1, ESCAPE_LEN = 6 /* \u12ab */ };

static int hex_value(const char *digits)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = digits[i];
        value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* The character that the escape at *at stands for; *at moves behind it. */
static int take_escape(const char **at)
{
    static const char short_forms[] = {['b'] = '\b', ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r',
                                       ['t'] = '\t', ['"'] = '"',  ['\\'] = '\\', ['/'] = '/'};
    const char *escape = *at;
    if (escape[1] != 'u') {
        *at += 2;
        return short_forms[(unsigned char)escape[1]];
    }
    int unit = hex_value(escape + 2);
    *at += ESCAPE_LEN;
    if (unit < 0xd800 || unit > 0xdfff)
        return unit;
    /* A string ends with a quote, so there is something to look at; its escapes are whole. */
    const char *second = *at;
    if (unit > 0xdbff || second[0] != '\\' || second[1] != 'u')
        return LONE_SURROGATE;
    int low = hex_value(second + 2);
    if (low < 0xdc00 || low > 0xdfff)
        return LONE_SURROGATE;
    *at += ESCAPE_LEN;
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

/* Appends what stands before the next escape (or before `end`) and goes there. */
static const char *copy_plain(struct buf *out, const char *at, const char *end)
{
    const char *escape = memchr(at, '\\', (size_t)(end - at));
    const char *stop = escape ? escape : end;
    buf_append(out, at, (size_t)(stop - at));
    return stop;
}

bool json_string_text(struct span quoted, struct buf *out)
{
    const char *at = quoted.data + 1, *end = quoted.data + quoted.len - 1;
    while ((at = copy_plain(out, at, end)) < end) {
        char text[4];
        int character = take_escape(&at);
        if (character == LONE_SURROGATE)
            return false;
        buf_append(out, text, utf8_put(text, (uint32_t)character));
    }
    return true;
}

/* --- compact ---------------------------------------------------------------------------------- */

static const char *string_end(const char *at)
{
    for (at++; *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at;
}

/* From the opening quote to the closing one. */
static bool compact_string(const char *at, const char *end, struct buf *out)
{
    while ((at = copy_plain(out, at, end)) < end) {
        const char *escape = at;
        char text[4];
        int character = take_escape(&at);
        if (character == LONE_SURROGATE)
            return false;
        if (character < 0x20 || character == '"' || character == '\\')
            buf_append(out, escape, (size_t)(at - escape));
        else
            buf_append(out, text, utf8_put(text, (uint32_t)character));
    }
    buf_putc(out, '"');
    return true;
}

bool json_compact(struct span value, struct buf *out)
{
    for (const char *at = value.data, *end = at + value.len; at < end; at++) {
        if (*at == '"') {
            const char *close = string_end(at);
            if (!compact_string(at, close, out))
                return false;
            at = close;
        } else if (!is_space(*at)) {
            buf_putc(out, *at);
        }
    }
    return true;
}
