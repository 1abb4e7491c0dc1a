// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/exchange.h"

#include "supervisor/http/exchange_private.h"
#include "supervisor/http/front_private.h"

void exchange_receive(struct exchange *x, const struct exchange_sink *sink, void *context)
{
    x->sink = sink;
    x->sink_context = context;
}

void exchange_pause_body(struct exchange *x)
{
    x->body_paused = x->was_paused = true;
}

void exchange_resume_body(struct exchange *x)
{
    if (!x->body_paused)
        return;
    x->body_paused = false;
    if (x->window.is_timed) {
        body_clock_stop(x); /* a window of its own, from now */
        body_clock_start(x);
    }
    if (!x->suspended)
        return;
    x->suspended = false;
    MHD_resume_connection(x->mhd);
    front_wants_run(x->front);
}

uint64_t exchange_body_left(const struct exchange *x)
{
    const struct guard_head *head = &x->connection->guarded.guard.head;
    uint64_t seen = x->sink_took ? x->body_taken : x->request.body_size;
    return head->chunked || head->length < seen ? UINT64_MAX : head->length - seen;
}

void exchange_refuse_body(struct exchange *x, unsigned status, const char *extra,
                          const char *format, ...)
{
    struct buf body = BUF_INIT;
    va_list ap;
    va_start(ap, format);
    exchange_put_error(&body, extra, format, ap);
    va_end(ap);
    guarded_refuse(&x->connection->guarded, status, (struct span){body.data, body.len});
    buf_free(&body);
}

enum exchange_taking receive_bytes(struct exchange *x, const char *bytes, size_t size)
{
    if (!x->sink)
        return EXCHANGE_BODY_KEEP;
    enum exchange_taking taking = x->sink->on_bytes(x->sink_context, bytes, size);
    if (taking != EXCHANGE_BODY_TAKEN)
        return taking;
    if (!x->sink_took) {
        x->body_taken = x->request.body_size;
        body_free(x);
        x->request.body_size = 0;
    }
    x->sink_took = true;
    x->body_taken += size;
    return taking;
}

void receive_drop(struct exchange *x)
{
    const struct exchange_sink *sink = x->sink;
    x->sink = NULL;
    if (sink)
        sink->on_gone(x->sink_context);
}

bool receive_end(struct exchange *x)
{
    const struct exchange_sink *sink = x->sink;
    if (!sink || !x->sink_took) {
        receive_drop(x);
        return false;
    }
    x->sink = NULL;
    sink->on_end(x->sink_context);
    return true;
}
