// SPDX-License-Identifier: Apache-2.0
#include "common/urlencoded.h"

static struct span cut(struct span *rest, char end)
{
    const char *at = rest->len ? memchr(rest->data, end, rest->len) : NULL;
    struct span part = *rest;
    if (!at) {
        *rest = (struct span){rest->data + rest->len, 0};
        return part;
    }
    part.len = (size_t)(at - rest->data);
    rest->len -= part.len + 1;
    rest->data = at + 1;
    return part;
}

bool urlencoded_next(struct urlencoded *u, struct span *name, struct span *value)
{
    while (u->rest.len > 0) {
        struct span pair = cut(&u->rest, '&');
        if (pair.len == 0)
            continue;
        *name = cut(&pair, '=');
        *value = pair;
        return true;
    }
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

size_t urlencoded_decode(struct span text, bool plus_is_blank, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%' && text.len - i > 2) {
            int high = hex_digit(text.data[i + 1]), low = hex_digit(text.data[i + 2]);
            if (high >= 0 && low >= 0) {
                out[n++] = (char)(high << 4 | low);
                i += 2;
                continue;
            }
        }
        out[n++] = c == '+' && plus_is_blank ? ' ' : c;
    }
    return n;
}

bool urlencoded_is_plain(struct span text, bool plus_is_blank)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '%' || (plus_is_blank && text.data[i] == '+'))
            return false;
    return true;
}
