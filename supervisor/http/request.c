// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/request.h"

#include "common/log.h"
#include "supervisor/http/exchange_private.h"
#include "supervisor/http/front_private.h"

#include <stdio.h>

static void judge(struct exchange *x)
{
    const struct connection *c = x->connection;
    const struct guard *g = &c->guarded.guard;
    struct front *front = x->front;
    struct span host = guard_span(g, g->head.authority.at ? g->head.authority : g->head.host);
    if (!c->is_unix && !access_host_is_known(front->access, host)) {
        x->refused = 421;
        x->refusal = "this station does not answer to that host name ([http] hosts)";
        front->rejected[FRONT_UNKNOWN_HOST]++;
        return;
    }
    bool changes =
        x->method != GUARD_GET && x->method != GUARD_HEAD_METHOD && x->method != GUARD_OPTIONS;
    if (changes &&
        access_is_foreign(host, guard_span(g, g->head.origin), guard_span(g, g->head.fetch_site))) {
        x->refused = 403;
        x->refusal = "a page of another site must not change anything here";
        front->rejected[FRONT_FOREIGN_PAGE]++;
    }
}

/* The request is answered as by a handler; one with a body is answered before it, and closed. */
static enum MHD_Result refuse(struct exchange *x, unsigned status, const char *extra,
                              const char *text)
{
    struct guarded *guarded = &x->connection->guarded;
    bool body_unread = guarded->guard.state != GUARD_COMPLETE || guarded_has_backlog(guarded);
    x->connection->linger |= body_unread;
    if (exchange_fill(x) < 0)
        return MHD_NO;
    x->dispatched = x->handler_holds = x->in_handler = true;
    x->front->open++;
    bool backlog = guarded->may_have_more;
    guarded->may_have_more = false; /* this connection reads no further */
    exchange_error(x, status, extra, "%s", text);
    guarded->may_have_more = backlog;
    x->in_handler = false;
    return MHD_YES;
}

/* A form may hold files, which are not gathered in memory. */
static enum guard_violation show_to_receiver(struct exchange *x)
{
    const struct guard_head *head = &x->connection->guarded.guard.head;
    bool has_body = head->length > 0 || head->chunked;
    if (!x->front->receiver || x->method != GUARD_POST || !head->has_form || !has_body)
        return GUARD_FINE;
    if (exchange_fill(x) < 0)
        return GUARD_BAD_no_memory;
    x->front->receiver(x, x->front->arg);
    return GUARD_FINE;
}

static enum MHD_Result wait_for_body(struct exchange *x)
{
    x->suspended = true;
    MHD_suspend_connection(x->mhd);
    return MHD_YES;
}

static enum MHD_Result first_call(struct connection *c, struct MHD_Connection *mhd, void **slot)
{
    struct exchange *x = exchange_new(c, mhd);
    *slot = x;
    if (!x)
        return MHD_NO;
    judge(x);
    if (x->refused)
        return refuse(x, x->refused, NULL, x->refusal);
    enum guard_violation bad = show_to_receiver(x);
    if (!bad)
        bad = body_begin(x);
    if (!bad) {
        if (c->guarded.guard.state == GUARD_BODY)
            body_clock_start(x);
        return x->body_paused ? wait_for_body(x) : MHD_YES;
    }
    receive_drop(x);
    const struct guard_violation_info *info = guard_violation_info(bad);
    char limit[64];
    snprintf(limit, sizeof(limit), "\"limit\":\"%s\"", info->limit);
    x->front->guards.rejected[bad]++;
    return refuse(x, info->status, limit, info->text);
}

/* Too late for a reply of libmicrohttpd's; too early for one of a handler. */
static enum MHD_Result abandon(struct exchange *x, enum guard_violation bad)
{
    guarded_reject(&x->connection->guarded, bad);
    return MHD_NO;
}

static enum MHD_Result dispatch(struct exchange *x)
{
    struct front *front = x->front;
    body_clock_stop(x);
    enum guard_violation bad = body_end(x);
    if (!bad && exchange_fill(x) < 0)
        bad = GUARD_BAD_no_memory;
    if (bad)
        return abandon(x, bad);
    x->dispatched = x->handler_holds = x->in_handler = true;
    front->open++;
    if (!receive_end(x))
        front->handler(x, front->arg);
    x->in_handler = false;
    if (!x->handler_holds)
        return MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_HTTP_STATUS) ? MHD_YES : MHD_NO;
    if (!x->pull) {
        x->suspended = true;
        MHD_suspend_connection(x->mhd);
    }
    return MHD_YES;
}

/* Resumed without a response: its making failed, or everything is being closed. */
static enum MHD_Result call_again(struct exchange *x)
{
    if (!x->handler_holds || x->front->stopping)
        return MHD_NO;
    x->suspended = true;
    MHD_suspend_connection(x->mhd);
    return MHD_YES;
}

static enum MHD_Result take_bytes(struct exchange *x, const char *bytes, size_t size)
{
    switch (receive_bytes(x, bytes, size)) {
    case EXCHANGE_BODY_TAKEN:
        return MHD_YES;
    case EXCHANGE_BODY_REFUSED: /* and answered */
        return MHD_NO;
    case EXCHANGE_BODY_KEEP:
        break;
    }
    enum guard_violation bad = body_add(x, bytes, size);
    return bad ? abandon(x, bad) : MHD_YES;
}

enum MHD_Result request_handle(void *arg, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **slot)
{
    (void)arg, (void)url, (void)method, (void)version;
    struct exchange *x = *slot;
    if (!x) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        return first_call(info->socket_context, mhd, slot);
    }
    if (*upload_size > 0) {
        size_t size = *upload_size;
        *upload_size = 0;
        x->window.bytes += size;
        return take_bytes(x, upload, size);
    }
    if (!x->dispatched && x->was_paused && !body_is_whole(x))
        return MHD_YES; /* called once more because it was resumed */
    return x->dispatched ? call_again(x) : dispatch(x);
}

void request_completed(void *arg, struct MHD_Connection *mhd, void **slot,
                       enum MHD_RequestTerminationCode how)
{
    (void)arg, (void)mhd;
    struct exchange *x = *slot;
    if (!x)
        return;
    *slot = NULL;
    struct connection *c = x->connection;
    body_clock_stop(x);
    x->front->requests[x->status / 100 < 6 ? x->status / 100 : 0]++;
    exchange_detach(x);
    receive_drop(x);
    if (x->pull)
        stream_gone(x);
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        guarded_next(&c->guarded);
    x->mhd_holds = false;
    exchange_release(x);
}

void request_connection(void *arg, struct MHD_Connection *mhd, void **slot,
                        enum MHD_ConnectionNotificationCode what)
{
    (void)arg;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*slot)
            connection_closed(*slot);
        *slot = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    *slot = connection_of(info->connect_fd);
}
