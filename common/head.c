// SPDX-License-Identifier: Apache-2.0
#include "common/head.h"

#include <strings.h>

static struct span trim(struct span s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static struct span skip(struct span s, size_t n)
{
    return (struct span){s.data + n, s.len - n};
}

/* The next line without its CR LF. */
static struct span cut_line(struct span *rest)
{
    const char *end = memchr(rest->data, '\n', rest->len);
    struct span line = {rest->data, end ? (size_t)(end - rest->data) : rest->len};
    *rest = skip(*rest, end ? line.len + 1 : line.len);
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

bool head_next(struct span *rest, struct span *name, struct span *value)
{
    while (rest->len > 0) {
        struct span line = cut_line(rest);
        const char *colon = line.len ? memchr(line.data, ':', line.len) : NULL;
        if (!colon || colon == line.data)
            continue;
        *name = (struct span){line.data, (size_t)(colon - line.data)};
        *value = trim(skip(line, name->len + 1));
        return true;
    }
    return false;
}

bool head_name_is(struct span name, const char *wanted)
{
    return name.len == strlen(wanted) && strncasecmp(name.data, wanted, name.len) == 0;
}

bool head_find(struct span head, const char *wanted, struct span *value)
{
    struct span name;
    while (head_next(&head, &name, value))
        if (head_name_is(name, wanted))
            return true;
    return false;
}

struct span head_media_type(struct span value)
{
    const char *end = value.len ? memchr(value.data, ';', value.len) : NULL;
    return trim((struct span){value.data, end ? (size_t)(end - value.data) : value.len});
}

/* Length of a quoted string with its quotes; all that is left when it does not end. */
static size_t quoted_length(struct span s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.data[i] == '\\')
            i++;
        else if (s.data[i] == '"')
            return i + 1;
    }
    return s.len;
}

static struct span cut_value(struct span *rest)
{
    struct span s = trim(*rest);
    if (s.len > 0 && s.data[0] == '"') {
        size_t whole = quoted_length(s);
        bool is_closed = whole > 1 && s.data[whole - 1] == '"';
        *rest = skip(s, whole);
        return (struct span){s.data + 1, whole - (is_closed ? 2 : 1)};
    }
    const char *end = s.len ? memchr(s.data, ';', s.len) : NULL;
    size_t len = end ? (size_t)(end - s.data) : s.len;
    *rest = skip(s, len);
    return trim((struct span){s.data, len});
}

bool head_next_parameter(struct span *rest, struct span *name, struct span *value)
{
    while (rest->len > 0) {
        const char *start = memchr(rest->data, ';', rest->len);
        if (!start)
            return false;
        *rest = skip(*rest, (size_t)(start - rest->data) + 1);
        size_t at = 0;
        while (at < rest->len && rest->data[at] != '=' && rest->data[at] != ';')
            at++;
        if (at == rest->len || rest->data[at] == ';')
            continue;
        *name = trim((struct span){rest->data, at});
        *rest = skip(*rest, at + 1);
        *value = cut_value(rest);
        if (name->len > 0)
            return true;
    }
    return false;
}

size_t head_unquote(struct span text, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\\' && i + 1 < text.len)
            i++;
        out[n++] = text.data[i];
    }
    return n;
}

bool head_next_cookie(struct span *rest, struct span *name, struct span *value)
{
    while (rest->len > 0) {
        const char *end = memchr(rest->data, ';', rest->len);
        struct span pair = {rest->data, end ? (size_t)(end - rest->data) : rest->len};
        *rest = skip(*rest, end ? pair.len + 1 : pair.len);
        const char *equals = pair.len ? memchr(pair.data, '=', pair.len) : NULL;
        if (!equals)
            continue;
        *name = trim((struct span){pair.data, (size_t)(equals - pair.data)});
        *value = trim(skip(pair, (size_t)(equals - pair.data) + 1));
        if (value->len >= 2 && value->data[0] == '"' && value->data[value->len - 1] == '"')
            *value = (struct span){value->data + 1, value->len - 2};
        if (name->len > 0)
            return true;
    }
    return false;
}

bool head_is_json(struct span type)
{
    static const char suffix[] = "+json";
    size_t len = sizeof(suffix) - 1;
    return head_name_is(type, "application/json") || head_name_is(type, "text/json") ||
           (type.len > len && head_name_is((struct span){type.data + type.len - len, len}, suffix));
}
