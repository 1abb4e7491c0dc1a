// SPDX-License-Identifier: Apache-2.0
/*
 * codec - typed fields of an RPC payload, written to a buf and read back by a cursor.
 *
 * Every field is a tag byte and its value in host order (both ends share the machine):
 *   'b' u8   'w' u32   'q' u64   's' u32 length and bytes
 * A reader that meets another tag, a field that runs past the end, or (at codec_finish) bytes left
 * over is marked failed and returns zeroes from then on, so callers check once, at the end.
 * Strings read are borrowed from the payload and are NOT NUL-terminated.
 */
#ifndef COMMON_CODEC_H
#define COMMON_CODEC_H

#include "common/buf.h"

#include <stdint.h>

struct span {
    const char *data; /* never NULL when len > 0 */
    size_t len;
};

static inline struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static inline bool span_equal(struct span s, const char *text)
{
    return s.len == strlen(text) && (s.len == 0 || memcmp(s.data, text, s.len) == 0);
}

/* A NUL-terminated copy to be freed by the caller; NULL when memory is short. */
char *span_dup(struct span s);

void codec_put_u8(struct buf *out, uint8_t value);
void codec_put_u32(struct buf *out, uint32_t value);
void codec_put_u64(struct buf *out, uint64_t value);
/* Fails the buf when len does not fit 32 bits. */
void codec_put_bytes(struct buf *out, const void *bytes, size_t len);

struct codec_reader {
    const char *data;
    size_t len;
    size_t pos;
    bool failed;
};

struct codec_reader codec_reader_of(const void *payload, size_t len);
uint8_t codec_u8(struct codec_reader *r);
uint32_t codec_u32(struct codec_reader *r);
uint64_t codec_u64(struct codec_reader *r);
struct span codec_bytes(struct codec_reader *r);
/* True when every field read was whole and nothing is left over. */
bool codec_finish(struct codec_reader *r);

#endif
