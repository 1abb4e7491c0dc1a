// SPDX-License-Identifier: Apache-2.0
#include "common/events/redis_command.h"

#include <stdarg.h>

enum { NUMBER_SIZE = 24, ID_SIZE = 2 * NUMBER_SIZE };

/* Decimal digits at the end of `text`; where they begin. */
static char *digits(uint64_t number, char text[NUMBER_SIZE])
{
    char *at = text + NUMBER_SIZE;
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return at;
}

static void put_header(struct buf *out, char kind, size_t number)
{
    char text[NUMBER_SIZE], *at = digits(number, text);
    buf_putc(out, kind);
    buf_append(out, at, (size_t)(text + NUMBER_SIZE - at));
    buf_append(out, "\r\n", 2);
}

void redis_command_start(struct buf *out, size_t words)
{
    put_header(out, '*', words);
}

void redis_command_bytes(struct buf *out, struct span word)
{
    put_header(out, '$', word.len);
    buf_append(out, word.data, word.len);
    buf_append(out, "\r\n", 2);
}

void redis_command_text(struct buf *out, const char *word)
{
    redis_command_bytes(out, span_of(word));
}

void redis_command_number(struct buf *out, uint64_t number)
{
    char text[NUMBER_SIZE], *at = digits(number, text);
    redis_command_bytes(out, (struct span){at, (size_t)(text + NUMBER_SIZE - at)});
}

void redis_command_id(struct buf *out, struct delivery_id id)
{
    char text[NUMBER_SIZE], word[ID_SIZE], *at = digits(id.high, text);
    size_t len = (size_t)(text + NUMBER_SIZE - at);
    memcpy(word, at, len);
    word[len++] = '-';
    at = digits(id.low, text);
    memcpy(word + len, at, (size_t)(text + NUMBER_SIZE - at));
    redis_command_bytes(out, (struct span){word, len + (size_t)(text + NUMBER_SIZE - at)});
}

void redis_command_put(struct buf *out, const char *word, ...)
{
    va_list words, again;
    size_t count = 1;
    va_start(words, word);
    va_copy(again, words);
    while (va_arg(words, const char *))
        count++;
    redis_command_start(out, count);
    for (const char *at = word; at; at = va_arg(again, const char *))
        redis_command_text(out, at);
    va_end(again);
    va_end(words);
}

static bool parse_number(const char **at, const char *end, uint64_t *number)
{
    const char *start = *at;
    *number = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++)
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, (uint64_t)(**at - '0'), number))
            return false;
    return *at > start;
}

bool redis_command_parse_id(struct span text, struct delivery_id *id)
{
    const char *at = text.data, *end = text.data + text.len;
    return parse_number(&at, end, &id->high) && at < end && *at++ == '-' &&
           parse_number(&at, end, &id->low) && at == end;
}

int redis_command_compare_ids(struct delivery_id a, struct delivery_id b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return a.low == b.low ? 0 : a.low < b.low ? -1 : 1;
}
