// SPDX-License-Identifier: Apache-2.0
/*
 * Replies in chunks: the front asks for one when it can send it, the worker is asked for one, so at
 * most one chunk is held and a slow reader blocks nobody.
 */
#include "common/memfd.h"
#include "supervisor/objects/object.h"
#include "supervisor/station.h"
#include "supervisor/turn/turns.h"

#include <stdlib.h>

static void send_empty(struct worker *w, enum rpc_type type, uint64_t id)
{
    /* Lack of memory: the stream stalls until its deadline or its client ends it. */
    channel_end(&w->channel, channel_begin(&w->channel, type, id), NULL, 0);
    worker_touch(w);
}

static struct worker *worker_of(const struct call *call)
{
    return worker_get(call->object->station->workers, call->worker);
}

void stream_refuse(struct worker *w, uint64_t id)
{
    send_empty(w, RPC_STREAM_CANCEL, id);
}

static void on_pull(void *context)
{
    struct call *call = context;
    struct worker *w = worker_of(call);
    if (call->stream_over || !w)
        return;
    call->pulled = true;
    w->progress_ns = loop_now(w->station->loop);
    send_empty(w, RPC_STREAM_PULL, call->id);
}

static void on_gone(void *context)
{
    struct call *call = context;
    struct turns *turns = call->object->station->turns;
    struct worker *w = worker_of(call);
    if (w) {
        call_list_remove(&w->streams, call);
        if (!call->stream_over)
            send_empty(w, RPC_STREAM_CANCEL, call->id);
        worker_settle(w);
    }
    turns->outstanding--;
    call_free(call);
}

void stream_start(struct turns *turns, struct call *call, const struct exchange_reply *head)
{
    struct worker *w = worker_of(call);
    struct exchange_stream stream = {on_pull, on_gone, call};
    if (!w) {
        answer_error(turns, call, 502, NULL, "the worker died before the stream began");
        return;
    }
    w->gated_streams--;
    call_list_append(&w->streams, call);
    worker_settle(w);
    histogram_add(&turns->latency, loop_now(turns->station->loop) - call->arrived_ns);
    exchange_stream_begin(call->exchange, head, &stream);
}

void stream_cut(struct call *call)
{
    call->stream_over = true;
    exchange_stream_end(call->exchange, true); /* on_gone does the rest */
}

static bool chunk_bytes(struct worker *w, const struct frame *f, const struct rpc_stream_chunk *m,
                        char **bytes)
{
    size_t size = m->size ? m->size : m->bytes.len;
    if ((m->size > 0) != (f->fd_count == 1) || m->size > w->channel.payload_max)
        return false;
    *bytes = malloc(size ? size : 1);
    if (!*bytes)
        return true;
    if (m->size == 0) {
        memcpy(*bytes, m->bytes.data, size);
        return true;
    }
    int fd = w->channel.frame_fds[0];
    if (memfd_verify(fd, m->size) == 0 && memfd_read(fd, *bytes, size) == 0)
        return true;
    free(*bytes);
    return false;
}

bool stream_chunk(struct worker *w, const struct frame *f, const char **reason)
{
    struct rpc_stream_chunk m;
    char *bytes;
    *reason = "malformed STREAM_CHUNK";
    if (!rpc_stream_chunk_decode(f->payload, &m))
        return false;
    struct call *call = call_list_find(&w->streams, f->id);
    if (!call)
        return true; /* its client has gone in the meantime */
    *reason = "a chunk that nobody asked for";
    if (!call->pulled)
        return false;
    *reason = "a chunk that is not a sealed memfd of its size";
    if (!chunk_bytes(w, f, &m, &bytes))
        return false;
    if (!bytes) {
        stream_cut(call);
        return true;
    }
    call->pulled = false;
    size_t size = m.size ? m.size : m.bytes.len;
    if (size) {
        exchange_stream_chunk(call->exchange, bytes, size);
    } else {
        free(bytes);
        on_pull(call);
    }
    return true;
}

bool stream_end(struct worker *w, const struct frame *f, const char **reason)
{
    struct rpc_stream_end m;
    *reason = "malformed STREAM_END";
    if (!rpc_stream_end_decode(f->payload, &m))
        return false;
    struct call *call = call_list_find(&w->streams, f->id);
    if (call) {
        call->stream_over = true;
        exchange_stream_end(call->exchange, m.error.len > 0);
    }
    return true;
}
