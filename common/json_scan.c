// SPDX-License-Identifier: Apache-2.0
#include "common/json_scan.h"

/* Each scan_… returns where its token ends, NULL when there is none at `at`. */

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static const char *scan_escape(const char *at, const char *end)
{
    if (at == end)
        return NULL;
    if (*at != 'u')
        return memchr("\"\\/bfnrt", *at, 8) ? at + 1 : NULL;
    for (int i = 1; i <= 4; i++)
        if (end - at <= i || !is_hex(at[i]))
            return NULL;
    return at + 5;
}

static const char *scan_string(const char *at, const char *end)
{
    if (at == end || *at != '"')
        return NULL;
    for (at++; at < end;) {
        unsigned char c = (unsigned char)*at++;
        if (c == '"')
            return at;
        if (c < 0x20)
            return NULL;
        if (c == '\\' && !(at = scan_escape(at, end)))
            return NULL;
    }
    return NULL;
}

static const char *scan_digits(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at > start ? at : NULL;
}

static const char *scan_number(const char *at, const char *end)
{
    if (at < end && *at == '-')
        at++;
    bool zero = at < end && *at == '0';
    at = zero ? at + 1 : scan_digits(at, end);
    if (at && at < end && *at == '.')
        at = scan_digits(at + 1, end);
    if (at && at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        at = scan_digits(at, end);
    }
    return at;
}

static const char *scan_scalar(const char *at, const char *end)
{
    static const char *const words[] = {"true", "false", "null"};
    if (at == end)
        return NULL;
    if (*at == '"')
        return scan_string(at, end);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - at) >= n && memcmp(at, words[i], n) == 0)
            return at + n;
    }
    return scan_number(at, end);
}

/* "name": and the space behind it. */
static const char *scan_name(const char *at, const char *end)
{
    at = scan_string(at, end);
    if (!at)
        return NULL;
    at = skip_space(at, end);
    return at < end && *at == ':' ? skip_space(at + 1, end) : NULL;
}

/*
 * Opens what opens here and steps to the first value inside. *is_value: the token that ends at the
 * returned place is a whole value (a scalar, or a container without content).
 */
static const char *scan_opening(const char *at, const char *end, char *open, unsigned *depth,
                                bool *is_value)
{
    *is_value = at == end || (*at != '{' && *at != '[');
    if (*is_value)
        return scan_scalar(at, end);
    char kind = *at;
    at = skip_space(at + 1, end);
    if (at < end && *at == (kind == '{' ? '}' : ']')) {
        *is_value = true;
        return at + 1;
    }
    if (*depth == JSON_SCAN_DEPTH_MAX)
        return NULL;
    open[(*depth)++] = kind;
    return kind == '{' ? scan_name(at, end) : at;
}

/* Behind a value: closes what closes here. Stops at the next value (or its name), or when the
 * outermost container has closed. */
static const char *scan_closing(const char *at, const char *end, const char *open, unsigned *depth)
{
    while (*depth > 0) {
        at = skip_space(at, end);
        if (at == end)
            return NULL;
        char kind = open[*depth - 1];
        if (*at == ',') {
            at = skip_space(at + 1, end);
            return kind == '{' ? scan_name(at, end) : at;
        }
        if (*at != (kind == '{' ? '}' : ']'))
            return NULL;
        at++;
        (*depth)--;
    }
    return at;
}

static const char *scan_value(const char *at, const char *end)
{
    char open[JSON_SCAN_DEPTH_MAX];
    unsigned depth = 0;
    do {
        bool is_value;
        at = scan_opening(at, end, open, &depth, &is_value);
        if (at && is_value)
            at = scan_closing(at, end, open, &depth);
    } while (at && depth > 0);
    return at;
}

bool json_scan_valid(struct span text)
{
    if (text.len == 0)
        return false;
    const char *end = text.data + text.len;
    const char *at = scan_value(skip_space(text.data, end), end);
    return at && skip_space(at, end) == end;
}

struct json_scan json_scan_object(struct span text)
{
    static const struct json_scan none;
    if (!json_scan_valid(text))
        return none;
    const char *end = text.data + text.len, *at = skip_space(text.data, end);
    if (*at != '{')
        return none;
    return (struct json_scan){skip_space(at + 1, end), end};
}

bool json_scan_member(struct json_scan *scan, struct span *name, struct span *value)
{
    if (scan->at == scan->end || *scan->at == '}')
        return false;
    const char *at = scan_string(scan->at, scan->end);
    *name = (struct span){scan->at, (size_t)(at - scan->at)};
    at = scan_name(scan->at, scan->end);
    const char *behind = scan_value(at, scan->end);
    *value = (struct span){at, (size_t)(behind - at)};
    behind = skip_space(behind, scan->end);
    scan->at = *behind == ',' ? skip_space(behind + 1, scan->end) : behind;
    return true;
}
