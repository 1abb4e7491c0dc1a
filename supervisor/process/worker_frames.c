// SPDX-License-Identifier: Apache-2.0
#include "common/clock.h"
#include "common/log.h"
#include "common/utf8.h"
#include "supervisor/log/object_log.h"
#include "supervisor/objects/imports.h"
#include "supervisor/objects/object.h"
#include "supervisor/process/worker_private.h"
#include "supervisor/station.h"
#include "supervisor/turn/call.h"

#include <errno.h>
#include <sys/epoll.h>

/* Bytes of why an object does not load. */
enum { LOAD_ERROR_MAX = 4 * 1024, LOAD_TRACEBACK_MAX = 64 * 1024 };

void worker_blame_protocol(struct worker *w, const char *reason)
{
    if (w->state == WORKER_REAPED)
        return; /* a frame cut off by its death */
    log_warn("worker %d of %s broke the protocol: %s", (int)w->pid, w->object->id, reason);
    w->protocol_reason = reason;
    worker_kill(w, WORKER_BLAME_PROTOCOL);
}

static bool on_ready(struct worker *w, const struct frame *f, const char **reason)
{
    struct rpc_ready m;
    *reason = "malformed READY";
    if (!rpc_ready_decode(f->payload, &m))
        return false;
    loop_timer_cancel(&w->timer);
    if (worker_event(w, WORKER_EV_LOADED) == WORKER_DO_ANNOUNCE)
        w->station->workers->hooks.ready(w, &m);
    return true;
}

/* An exception may hold anything, and people read it in many places. */
static void shorten(struct span *text, size_t max)
{
    text->len = utf8_cut(text->data, text->len, max);
}

static bool on_load_failed(struct worker *w, const struct frame *f, const char **reason)
{
    struct rpc_load_failed m;
    *reason = "malformed LOAD_FAILED";
    if (!rpc_load_failed_decode(f->payload, &m))
        return false;
    shorten(&m.error, LOAD_ERROR_MAX);
    shorten(&m.traceback, LOAD_TRACEBACK_MAX);
    if (worker_event(w, WORKER_EV_LOAD_FAILED) == WORKER_DO_REPORT)
        w->station->workers->hooks.load_failed(w, &m);
    return true;
}

/* What a test logs is told from what the object logs. */
static struct span mark_as_test(struct span fields, struct buf *marked)
{
    buf_puts(marked, "{\"test\":true");
    if (fields.len > 2 && fields.data[0] == '{') {
        buf_putc(marked, ',');
        buf_append(marked, fields.data + 1, fields.len - 1);
    } else {
        buf_putc(marked, '}');
    }
    return buf_ok(marked) ? (struct span){marked->data, marked->len} : fields;
}

static bool on_log(struct worker *w, const struct frame *f, const char **reason)
{
    struct rpc_log m;
    *reason = "malformed LOG";
    if (!rpc_log_decode(f->payload, &m) || m.level.len == 0)
        return false;
    char request_id[OBJECT_REQUEST_ID_SIZE] = "";
    const struct call *call = call_list_find(&w->inflight, f->id);
    if (!call)
        call = call_list_find(&w->streams, f->id);
    if (call)
        call_request_id(call, request_id, sizeof(request_id));
    uint64_t now_us = clock_wall_us();
    if (m.wall_us > now_us)
        m.wall_us = now_us;
    struct buf fields = BUF_INIT;
    if (w->is_test)
        m.fields = mark_as_test(m.fields, &fields);
    uint64_t *dropped = &object_logs_stats(w->station->logs)->dropped, before = *dropped;
    object_log_write(w->object->log, m.level, m.wall_us, m.message, span_of(request_id),
                     w->object->version, m.fields);
    throttle_dropped(w, *dropped - before);
    buf_free(&fields);
    return true;
}

static bool handle_frame(struct worker *w, const struct frame *f, const char **reason)
{
    switch (f->type) {
    case RPC_READY:
        return on_ready(w, f, reason);
    case RPC_LOAD_FAILED:
        return on_load_failed(w, f, reason);
    case RPC_LOG:
        return on_log(w, f, reason);
    case RPC_IMPORTS:
        return imports_reported(w, f->payload, reason);
    default:
        return w->station->workers->hooks.frame(w, f, reason);
    }
}

bool worker_handle_frames(struct worker *w)
{
    struct worker_table *table = w->station->workers;
    struct worker_ref ref = w->ref;
    const char *reason = NULL;
    struct frame f;
    int got;
    while ((got = channel_next(&w->channel, &f, &reason)) > 0) {
        if (w->blame == WORKER_BLAME_PROTOCOL)
            return false; /* nothing that it says counts any more */
        if (!handle_frame(w, &f, &reason)) {
            got = -EPROTO;
            break;
        }
        if (worker_get(table, ref) != w)
            return false;
    }
    if (got < 0 && w->blame != WORKER_BLAME_PROTOCOL)
        worker_blame_protocol(w, got == -EPROTO ? reason : strerror(-got));
    return got == 0;
}

/* Its death is reported by the reaper; a draining worker may take its time to it. */
void worker_lose_channel(struct worker *w)
{
    loop_unwatch(w->channel_source);
    w->channel_source = NULL;
    if (w->state != WORKER_DRAINING && w->state != WORKER_KILLED)
        worker_kill(w, w->blame);
}

/*
 * The nursery's answer comes on another socket and may come later: who is not known by its pid is
 * not heard. worker_spawned() watches again; until then each state of the socket is told once.
 */
static void hear_later(struct worker *w)
{
    loop_rewatch(w->channel_source, EPOLLET | (channel_has_output(&w->channel) ? EPOLLOUT : 0u));
}

static void on_channel(void *arg, uint32_t events)
{
    struct worker *w = arg;
    if (w->pid == 0) {
        hear_later(w);
    } else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = channel_receive(&w->channel);
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            worker_lose_channel(w);
            return;
        }
        struct worker_table *table = w->station->workers;
        struct worker_ref ref = w->ref;
        worker_handle_frames(w);
        if (worker_get(table, ref) != w)
            return;
    }
    if (events & EPOLLOUT)
        worker_touch(w);
}

int worker_watch_channel(struct worker *w)
{
    w->channel_source = loop_watch(w->station->loop, w->channel.fd, EPOLLIN, on_channel, w);
    return w->channel_source ? 0 : -errno;
}
