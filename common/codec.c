// SPDX-License-Identifier: Apache-2.0
#include "common/codec.h"

#include <stdlib.h>

enum { TAG_U8 = 'b', TAG_U32 = 'w', TAG_U64 = 'q', TAG_BYTES = 's' };

char *span_dup(struct span s)
{
    char *copy = malloc(s.len + 1);
    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return copy;
}

static void put_field(struct buf *out, char tag, const void *value, size_t size)
{
    if (!buf_reserve(out, size + 1))
        return;
    out->data[out->len] = tag;
    memcpy(out->data + out->len + 1, value, size);
    out->len += size + 1;
}

void codec_put_u8(struct buf *out, uint8_t value)
{
    put_field(out, TAG_U8, &value, sizeof(value));
}

void codec_put_u32(struct buf *out, uint32_t value)
{
    put_field(out, TAG_U32, &value, sizeof(value));
}

void codec_put_u64(struct buf *out, uint64_t value)
{
    put_field(out, TAG_U64, &value, sizeof(value));
}

void codec_put_bytes(struct buf *out, const void *bytes, size_t len)
{
    if (len > UINT32_MAX) {
        out->failed = true;
        return;
    }
    uint32_t length = (uint32_t)len;
    put_field(out, TAG_BYTES, &length, sizeof(length));
    buf_append(out, bytes, len);
}

struct codec_reader codec_reader_of(const void *payload, size_t len)
{
    return (struct codec_reader){.data = payload, .len = len};
}

static bool take_field(struct codec_reader *r, char tag, void *value, size_t size)
{
    if (r->failed || r->len - r->pos < size + 1 || r->data[r->pos] != tag) {
        r->failed = true;
        return false;
    }
    memcpy(value, r->data + r->pos + 1, size);
    r->pos += size + 1;
    return true;
}

uint8_t codec_u8(struct codec_reader *r)
{
    uint8_t value;
    return take_field(r, TAG_U8, &value, sizeof(value)) ? value : 0;
}

uint32_t codec_u32(struct codec_reader *r)
{
    uint32_t value;
    return take_field(r, TAG_U32, &value, sizeof(value)) ? value : 0;
}

uint64_t codec_u64(struct codec_reader *r)
{
    uint64_t value;
    return take_field(r, TAG_U64, &value, sizeof(value)) ? value : 0;
}

struct span codec_bytes(struct codec_reader *r)
{
    uint32_t length;
    if (!take_field(r, TAG_BYTES, &length, sizeof(length)))
        return (struct span){"", 0};
    if (r->len - r->pos < length) {
        r->failed = true;
        return (struct span){"", 0};
    }
    struct span s = {r->data + r->pos, length};
    r->pos += length;
    return s;
}

bool codec_finish(struct codec_reader *r)
{
    if (r->pos != r->len)
        r->failed = true;
    return !r->failed;
}
