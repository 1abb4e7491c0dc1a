// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST_CAP = 256 };

bool buf_reserve(struct buf *b, size_t extra)
{
    if (b->failed)
        return false;
    if (b->cap - b->len >= extra)
        return true;
    if (extra > SIZE_MAX / 2 - b->len) {
        b->failed = true;
        return false;
    }
    size_t want = b->len + extra;
    size_t cap = b->cap ? b->cap : BUF_FIRST_CAP;
    while (cap < want)
        cap *= 2;
    char *grown = realloc(b->data, cap);
    if (!grown) {
        b->failed = true;
        return false;
    }
    b->data = grown;
    b->cap = cap;
    return true;
}

void buf_append(struct buf *b, const void *bytes, size_t n)
{
    if (n == 0 || !buf_reserve(b, n))
        return;
    memcpy(b->data + b->len, bytes, n);
    b->len += n;
}

void buf_puts(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

void buf_putc(struct buf *b, char c)
{
    if (!buf_reserve(b, 1))
        return;
    b->data[b->len++] = c;
}

void buf_vprintf(struct buf *b, const char *format, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0 || !buf_reserve(b, (size_t)n + 1)) {
        b->failed = true;
        return;
    }
    vsnprintf(b->data + b->len, (size_t)n + 1, format, ap);
    b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    buf_vprintf(b, format, ap);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

void buf_reset(struct buf *b, size_t keep_cap)
{
    b->len = 0;
    b->failed = false;
    if (b->cap > keep_cap)
        buf_free(b);
}

char *buf_take(struct buf *b, size_t *len)
{
    if (b->failed || b->len == 0 || !buf_reserve(b, 1)) {
        buf_free(b);
        if (len)
            *len = 0;
        return NULL;
    }
    b->data[b->len] = '\0';
    char *bytes = b->data;
    if (len)
        *len = b->len;
    *b = BUF_INIT;
    return bytes;
}

const char *buf_str(struct buf *b)
{
    if (b->len == 0 || !buf_reserve(b, 1))
        return "";
    b->data[b->len] = '\0';
    return b->data;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = BUF_INIT;
}
