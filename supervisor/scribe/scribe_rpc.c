// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/scribe_rpc.h"

enum { ERRNO_MAX = 4095 /* the kernel's own bound */ };

static void put_span(struct buf *out, struct span s)
{
    codec_put_bytes(out, s.data, s.len);
}

static struct codec_reader reader_of(struct span payload)
{
    return codec_reader_of(payload.data, payload.len);
}

void scribe_rpc_object_encode(struct buf *out, const struct scribe_rpc_object *o)
{
    put_span(out, o->object_id);
    codec_put_u64(out, o->after_seq);
    codec_put_u64(out, o->upto_seq);
}

bool scribe_rpc_object_next(struct codec_reader *r, struct scribe_rpc_object *o)
{
    if (r->pos == r->len)
        return false;
    o->object_id = codec_bytes(r);
    o->after_seq = codec_u64(r);
    o->upto_seq = codec_u64(r);
    if (o->object_id.len == 0)
        r->failed = true;
    return !r->failed;
}

void scribe_rpc_checkpoint_encode(struct buf *out, const struct scribe_rpc_checkpoint *m)
{
    codec_put_u32(out, m->object_count);
    put_span(out, m->objects);
}

bool scribe_rpc_checkpoint_decode(struct span payload, struct scribe_rpc_checkpoint *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_count = codec_u32(&r);
    m->objects = codec_bytes(&r);
    struct codec_reader each = reader_of(m->objects);
    struct scribe_rpc_object o;
    uint32_t seen = 0;
    while (scribe_rpc_object_next(&each, &o))
        seen++;
    return codec_finish(&r) && codec_finish(&each) && seen == m->object_count;
}

void scribe_rpc_checkpointed_encode(struct buf *out, const struct scribe_rpc_checkpointed *m)
{
    codec_put_u32(out, m->index);
    codec_put_u32(out, m->error);
    codec_put_u64(out, m->keys);
}

bool scribe_rpc_checkpointed_decode(struct span payload, struct scribe_rpc_checkpointed *m)
{
    struct codec_reader r = reader_of(payload);
    m->index = codec_u32(&r);
    m->error = codec_u32(&r);
    m->keys = codec_u64(&r);
    return codec_finish(&r) && m->error <= ERRNO_MAX;
}

void scribe_rpc_dump_encode(struct buf *out, const struct scribe_rpc_dump *m)
{
    put_span(out, m->object_id);
    put_span(out, m->key);
    put_span(out, m->prefix);
    put_span(out, m->suffix);
    codec_put_u32(out, m->write_count);
    put_span(out, m->writes);
}

bool scribe_rpc_dump_decode(struct span payload, struct scribe_rpc_dump *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->key = codec_bytes(&r);
    m->prefix = codec_bytes(&r);
    m->suffix = codec_bytes(&r);
    m->write_count = codec_u32(&r);
    m->writes = codec_bytes(&r);
    struct codec_reader each = reader_of(m->writes);
    struct rpc_write w;
    uint32_t seen = 0;
    while (rpc_write_next(&each, &w))
        seen++;
    return codec_finish(&r) && codec_finish(&each) && seen == m->write_count &&
           m->object_id.len > 0;
}

void scribe_rpc_search_encode(struct buf *out, const struct scribe_rpc_search *m)
{
    put_span(out, m->object_id);
    put_span(out, m->levels);
    codec_put_u64(out, m->limit);
    codec_put_u64(out, m->offset);
    codec_put_u64(out, m->since_us);
    codec_put_u64(out, m->until_us);
    codec_put_u32(out, m->filter_count);
    put_span(out, m->filters);
}

bool scribe_rpc_search_decode(struct span payload, struct scribe_rpc_search *m)
{
    struct codec_reader r = reader_of(payload);
    m->object_id = codec_bytes(&r);
    m->levels = codec_bytes(&r);
    m->limit = codec_u64(&r);
    m->offset = codec_u64(&r);
    m->since_us = codec_u64(&r);
    m->until_us = codec_u64(&r);
    m->filter_count = codec_u32(&r);
    m->filters = codec_bytes(&r);
    struct codec_reader each = reader_of(m->filters);
    struct rpc_field f;
    uint32_t seen = 0;
    while (rpc_field_next(&each, &f))
        seen++;
    return codec_finish(&r) && codec_finish(&each) && seen == m->filter_count &&
           m->object_id.len > 0;
}

void scribe_rpc_document_encode(struct buf *out, const struct scribe_rpc_document *m)
{
    codec_put_u32(out, m->error);
    codec_put_u64(out, m->size);
}

bool scribe_rpc_document_decode(struct span payload, struct scribe_rpc_document *m)
{
    struct codec_reader r = reader_of(payload);
    m->error = codec_u32(&r);
    m->size = codec_u64(&r);
    return codec_finish(&r) && m->error <= ERRNO_MAX;
}
