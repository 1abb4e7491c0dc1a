// SPDX-License-Identifier: Apache-2.0
#include "common/tsv.h"

static char escape_of(char c)
{
    switch (c) {
    case '\\':
        return '\\';
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\0':
        return '0';
    default:
        return 0;
    }
}

void tsv_put(struct buf *out, const char *bytes, size_t len)
{
    size_t start = 0;
    if (len == 0)
        return;
    for (size_t i = 0; i < len; i++) {
        char escape = (unsigned char)bytes[i] > '\\' ? 0 : escape_of(bytes[i]);
        if (!escape)
            continue;
        buf_append(out, bytes + start, i - start);
        buf_putc(out, '\\');
        buf_putc(out, escape);
        start = i + 1;
    }
    buf_append(out, bytes + start, len - start);
}

size_t tsv_split(struct span line, struct span *fields, size_t max)
{
    size_t count = 0;
    const char *at = line.len > 0 ? line.data : "", *end = at + line.len;
    for (;;) {
        const char *tab = at < end ? memchr(at, '\t', (size_t)(end - at)) : NULL;
        const char *stop = tab ? tab : end;
        if (count < max)
            fields[count] = (struct span){at, (size_t)(stop - at)};
        count++;
        if (!tab)
            return count;
        at = tab + 1;
    }
}

static bool unescape_of(char c, char *out)
{
    switch (c) {
    case '\\':
        *out = '\\';
        return true;
    case 't':
        *out = '\t';
        return true;
    case 'n':
        *out = '\n';
        return true;
    case 'r':
        *out = '\r';
        return true;
    case '0':
        *out = '\0';
        return true;
    default:
        return false;
    }
}

size_t tsv_unescape_in_place(char *bytes, size_t len)
{
    char *at = len ? memchr(bytes, '\\', len) : NULL;
    if (!at)
        return len;
    char *end = bytes + len, *to = at;
    while (at < end) {
        if (*at == '\\' && at + 1 < end) {
            char c;
            if (unescape_of(at[1], &c)) {
                *to++ = c;
            } else {
                *to++ = at[0];
                *to++ = at[1];
            }
            at += 2;
        } else {
            *to++ = *at++;
        }
    }
    return (size_t)(to - bytes);
}

void tsv_unescape(struct buf *out, struct span field)
{
    size_t start = out->len;
    buf_append(out, field.data, field.len);
    if (field.len > 0 && buf_ok(out))
        out->len = start + tsv_unescape_in_place(out->data + start, field.len);
}
