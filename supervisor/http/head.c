// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/head.h"

#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trimmed(const char *from, const char *to)
{
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    return (struct span){from, (size_t)(to - from)};
}

struct span head_field(struct span head, const char *name)
{
    size_t name_len = strlen(name);
    if (head.len == 0)
        return (struct span){NULL, 0};
    const char *at = head.data, *end = head.data + head.len;
    while (at < end) {
        const char *line_end = memchr(at, '\r', (size_t)(end - at));
        if (!line_end)
            line_end = end;
        if ((size_t)(line_end - at) > name_len && at[name_len] == ':' &&
            strncasecmp(at, name, name_len) == 0)
            return trimmed(at + name_len + 1, line_end);
        at = line_end + 2 < end ? line_end + 2 : end;
    }
    return (struct span){NULL, 0};
}
