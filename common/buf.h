// SPDX-License-Identifier: Apache-2.0
/*
 * buf - a growable byte buffer with a sticky failure flag.
 *
 * Callers append without checking and ask buf_ok() once at the end: after the first allocation
 * failure every append is a no-op. The buffer owns its bytes; buf_take() hands them to the caller,
 * who frees them with free(). Any process, one thread at a time.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct buf {
    char *data;
    size_t len; /* bytes used */
    size_t cap; /* bytes allocated */
    bool failed;
};

#define BUF_INIT ((struct buf){0})

/* Makes room for `extra` more bytes. False (and the flag set) when memory is short. */
bool buf_reserve(struct buf *b, size_t extra);
void buf_append(struct buf *b, const void *bytes, size_t n);
void buf_puts(struct buf *b, const char *text);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list ap);
/* Drops the first n bytes (n <= len), keeping the rest. */
void buf_consume(struct buf *b, size_t n);
/* Empties the buffer, keeps the memory unless it grew beyond keep_cap bytes. */
void buf_reset(struct buf *b, size_t keep_cap);
/* Hands the bytes over (free() them); NUL-terminated past len. NULL when empty or failed. */
char *buf_take(struct buf *b, size_t *len);
/* The content as a C string, valid until the next change; "" when empty or failed. */
const char *buf_str(struct buf *b);
void buf_free(struct buf *b);

static inline bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

#endif
