// SPDX-License-Identifier: Apache-2.0
#include "supervisor/rest/query.h"

#include "supervisor/http/target.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct query query_of(struct span raw)
{
    return (struct query){.rest = raw};
}

static bool decode(struct buf *out, struct span text)
{
    buf_reset(out, 4096);
    if (!buf_reserve(out, text.len + 1))
        return false;
    out->len = target_decode(text, true, out->data);
    return true;
}

static struct span take_part(struct span *rest)
{
    const char *end = rest->len ? memchr(rest->data, '&', rest->len) : NULL;
    struct span part = {rest->data, end ? (size_t)(end - rest->data) : rest->len};
    size_t skip = part.len + (end ? 1 : 0);
    rest->data += skip;
    rest->len -= skip;
    return part;
}

bool query_next(struct query *q)
{
    struct span part = {"", 0};
    while (q->rest.len && part.len == 0)
        part = take_part(&q->rest);
    if (part.len == 0)
        return false;
    const char *equals = memchr(part.data, '=', part.len);
    size_t name_len = equals ? (size_t)(equals - part.data) : part.len;
    size_t value_at = equals ? name_len + 1 : part.len;
    return decode(&q->name, (struct span){part.data, name_len}) &&
           decode(&q->value, (struct span){part.data + value_at, part.len - value_at});
}

void query_free(struct query *q)
{
    buf_free(&q->name);
    buf_free(&q->value);
}

bool query_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || *end || number < min || number > max)
        return false;
    *value = number;
    return true;
}

int query_once(struct span raw, const char *name, struct buf *out)
{
    struct query q = query_of(raw);
    int found = 0;
    while (found >= 0 && query_next(&q)) {
        if (!span_equal((struct span){buf_str(&q.name), q.name.len}, name))
            continue;
        found = found ? -EEXIST : 1;
        if (found == 1)
            buf_append(out, buf_str(&q.value), q.value.len);
    }
    query_free(&q);
    return found;
}

const char *query_number_once(struct span raw, const char *name, uint64_t min, uint64_t max,
                              uint64_t *value, char problem[QUERY_PROBLEM_SIZE])
{
    struct buf text = BUF_INIT;
    int found = query_once(raw, name, &text);
    bool is_text = strlen(buf_str(&text)) == text.len;
    problem[0] = '\0';
    if (found < 0)
        snprintf(problem, QUERY_PROBLEM_SIZE, "%s is given twice", name);
    else if (found && !(is_text && query_number(buf_str(&text), min, max, value)))
        snprintf(problem, QUERY_PROBLEM_SIZE, "%s must be a whole number from %llu to %llu", name,
                 (unsigned long long)min, (unsigned long long)max);
    buf_free(&text);
    return problem[0] ? problem : NULL;
}
