// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/exchange.h"

#include "common/log.h"
#include "supervisor/http/exchange_private.h"
#include "supervisor/http/front_private.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BLOCK_SIZE = 16 * 1024 /* for HTTP/1.0, where nothing is chunked */ };

/*
 * The reader waits for a chunk: its connection is suspended, the library does not look at it, so
 * the loop watches the socket for a client that goes away. A client that only shuts its sending
 * side down looks the same and counts as gone.
 */
struct exchange_pull {
    struct exchange_stream stream;
    struct loop_source *watch;
    char *chunk; /* being sent */
    size_t size, sent;
    bool pulled; /* on_pull was called, its chunk has not come */
    bool in_reader;
    bool ended, failed;
};

static ssize_t deliver(struct exchange_pull *p, char *dest, size_t max)
{
    size_t n = p->size - p->sent;
    if (n > max)
        n = max;
    memcpy(dest, p->chunk + p->sent, n);
    p->sent += n;
    if (p->sent == p->size) {
        free(p->chunk);
        p->chunk = NULL;
    }
    return (ssize_t)n;
}

static ssize_t next_bytes(struct exchange_pull *p, char *dest, size_t max)
{
    if (p->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (p->chunk)
        return deliver(p, dest, max);
    return p->ended ? MHD_CONTENT_READER_END_OF_STREAM : 0;
}

static ssize_t read_stream(void *arg, uint64_t position, char *dest, size_t max)
{
    (void)position;
    struct exchange *x = arg;
    struct exchange_pull *p = x->pull;
    if (x->front->stopping)
        p->failed = true;
    ssize_t n = next_bytes(p, dest, max);
    if (n != 0)
        return n;
    while (n == 0 && !p->pulled) {
        p->pulled = true;
        p->in_reader = true;
        p->stream.on_pull(p->stream.context);
        p->in_reader = false;
        n = next_bytes(p, dest, max);
    }
    if (n == 0) {
        x->suspended = true;
        MHD_suspend_connection(x->mhd);
    }
    return n;
}

static void wake(struct exchange *x)
{
    if (!x->suspended)
        return;
    x->suspended = false;
    MHD_resume_connection(x->mhd);
    front_wants_run(x->front);
}

static void on_hangup(void *arg, uint32_t events)
{
    (void)events;
    struct exchange *x = arg;
    loop_unwatch(x->pull->watch);
    x->pull->watch = NULL;
    x->pull->failed = true;
    wake(x);
}

static void refuse(struct exchange *x, const struct exchange_stream *stream)
{
    if (x->inside_fn) {
        exchange_error(x, 500, NULL, "a reply in chunks can only be sent to a client");
    } else if (x->connection) {
        x->response = NULL;
        exchange_error(x, 500, NULL, "the handler's status or headers are not valid HTTP");
    } else {
        x->front->open--;
        x->handler_holds = false;
        exchange_release(x);
    }
    stream->on_gone(stream->context);
}

/*
 * libmicrohttpd ends a chunked reply with its last chunk even where no body may follow (HEAD, 304),
 * which the client would take for the next reply. Without chunks the connection is closed instead.
 */
static void avoid_stray_chunk(const struct exchange *x, unsigned status)
{
    if (x->method == GUARD_HEAD_METHOD || status == MHD_HTTP_NOT_MODIFIED)
        MHD_set_response_options(x->response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
}

void exchange_stream_begin(struct exchange *x, const struct exchange_reply *head,
                           const struct exchange_stream *stream)
{
    if (head->status == MHD_HTTP_RESET_CONTENT) { /* its end must be told at once: no body */
        exchange_reply(x, head);
        stream->on_gone(stream->context);
        return;
    }
    struct exchange_pull *p = x->connection ? calloc(1, sizeof(*p)) : NULL;
    if (p)
        x->response =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, read_stream, x, NULL);
    if (!p || !x->response || head->status < 200 || head->status > 999 ||
        reply_add_fields(x->response, x, head) < 0) {
        if (x->response)
            MHD_destroy_response(x->response);
        x->response = NULL;
        free(p);
        refuse(x, stream);
        return;
    }
    avoid_stray_chunk(x, head->status);
    p->stream = *stream;
    p->watch = loop_watch(x->front->loop, x->connection->guarded.fd, EPOLLRDHUP, on_hangup, x);
    x->pull = p;
    x->status = head->status;
    reply_send(x);
}

void exchange_stream_chunk(struct exchange *x, char *bytes, size_t size)
{
    struct exchange_pull *p = x->pull;
    if (p->chunk)
        bug("a second chunk of a stream for one pull");
    p->pulled = false;
    if (size > 0) {
        p->chunk = bytes;
        p->size = size;
        p->sent = 0;
    } else {
        free(bytes); /* an empty chunk would end the body; the reader pulls again */
    }
    if (!p->in_reader)
        wake(x);
}

void exchange_stream_end(struct exchange *x, bool failed)
{
    x->pull->ended = true;
    x->pull->failed |= failed;
    if (!x->pull->in_reader)
        wake(x);
}

void exchange_stream_abort(struct exchange *x)
{
    x->pull->failed = true;
    if (x->connection)
        shutdown(x->connection->guarded.fd, SHUT_RDWR); /* ends a send that waits, too */
    wake(x);
}

void stream_gone(struct exchange *x)
{
    struct exchange_pull *p = x->pull;
    loop_unwatch(p->watch);
    free(p->chunk);
    struct exchange_stream stream = p->stream;
    free(p);
    x->pull = NULL;
    x->front->open--;
    x->handler_holds = false;
    stream.on_gone(stream.context);
}
