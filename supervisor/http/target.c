// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/target.h"

void target_split(struct span target, struct span *path, struct span *query)
{
    const char *mark = target.len ? memchr(target.data, '?', target.len) : NULL;
    if (!mark) {
        *path = target;
        *query = (struct span){NULL, 0};
        return;
    }
    size_t at = (size_t)(mark - target.data);
    *path = (struct span){target.data, at};
    *query = (struct span){mark + 1, target.len - at - 1};
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the escape at text[i] stands for, -1 when it is none. */
static int escape_at(struct span text, size_t i)
{
    if (i + 2 >= text.len)
        return -1;
    int high = hex_value(text.data[i + 1]);
    int low = hex_value(text.data[i + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool target_path_is_clean(struct span path)
{
    size_t dots = 0, others = 0; /* of the current segment */
    for (size_t i = 0; i <= path.len; i++) {
        int c = i < path.len ? (unsigned char)path.data[i] : '/';
        bool escaped = i < path.len && c == '%';
        if (escaped) {
            c = escape_at(path, i);
            if (c <= 0 || c == '/')
                return false;
            i += 2;
        }
        if (c == '\\')
            return false;
        if (c == '/') {
            if (others == 0 && (dots == 1 || dots == 2))
                return false;
            dots = others = 0;
        } else if (c == '.') {
            dots++;
        } else {
            others++;
        }
    }
    return true;
}

size_t target_decode(struct span text, bool plus_is_space, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int c = text.data[i] == '%' ? escape_at(text, i) : -1;
        if (c >= 0) {
            out[n++] = (char)c;
            i += 2;
        } else {
            out[n++] = plus_is_space && text.data[i] == '+' ? ' ' : text.data[i];
        }
    }
    return n;
}

static bool decoded_equals(struct span text, const char *name)
{
    size_t len = strlen(name), n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int c = text.data[i] == '%' ? escape_at(text, i) : -1;
        if (c >= 0)
            i += 2;
        else
            c = text.data[i] == '+' ? ' ' : (unsigned char)text.data[i];
        if (n == len || (unsigned char)name[n++] != c)
            return false;
    }
    return n == len;
}

bool target_query(struct span query, const char *name, struct buf *out)
{
    while (query.len > 0) {
        const char *end = memchr(query.data, '&', query.len);
        size_t len = end ? (size_t)(end - query.data) : query.len;
        const char *equals = memchr(query.data, '=', len);
        size_t key_len = equals ? (size_t)(equals - query.data) : len;
        if (decoded_equals((struct span){query.data, key_len}, name)) {
            if (!equals)
                return true;
            struct span value = {equals + 1, len - key_len - 1};
            if (buf_reserve(out, value.len + 1))
                out->len += target_decode(value, true, out->data + out->len);
            return true;
        }
        size_t used = end ? len + 1 : len;
        query.data += used;
        query.len -= used;
    }
    return false;
}
