// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/exchange.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "supervisor/http/exchange_private.h"
#include "supervisor/http/front_private.h"
#include "supervisor/http/head.h"
#include "supervisor/http/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SPARE_MAX = 256 };

struct exchange *exchange_take(struct front *front)
{
    struct exchange *x = front->spare;
    if (x) {
        front->spare = x->next;
        front->spare_count--;
    } else {
        x = malloc(sizeof(*x));
        if (!x)
            return NULL;
    }
    /* The small buffers at the end need no clearing. */
    memset(x, 0, offsetof(struct exchange, path_small));
    x->front = front;
    x->body = x->body_small;
    x->body_cap = sizeof(x->body_small);
    x->body_fd = -1;
    x->path = x->path_small;
    x->next = front->exchanges;
    if (x->next)
        x->next->prev = x;
    front->exchanges = x;
    return x;
}

struct exchange *exchange_new(struct connection *c, struct MHD_Connection *mhd)
{
    struct exchange *x = exchange_take(c->front);
    if (!x)
        return NULL;
    x->connection = c;
    x->mhd = mhd;
    x->mhd_holds = true;
    x->method = c->guarded.guard.head.method;
    c->exchange = x;
    return x;
}

static void free_path(struct exchange *x)
{
    if (x->path != x->path_small)
        free(x->path);
    x->path = x->path_small;
}

static void unlink_exchange(struct exchange *x)
{
    *(x->prev ? &x->prev->next : &x->front->exchanges) = x->next;
    if (x->next)
        x->next->prev = x->prev;
}

void exchange_release(struct exchange *x)
{
    struct front *front = x->front;
    if (x->mhd_holds || x->handler_holds)
        return;
    if (x->response)
        MHD_destroy_response(x->response);
    body_free(x);
    free(x->detached);
    free_path(x);
    unlink_exchange(x);
    if (front->spare_count == SPARE_MAX) {
        free(x);
        return;
    }
    x->next = front->spare;
    front->spare = x;
    front->spare_count++;
}

void exchange_free_list(struct front *front)
{
    while (front->spare) {
        struct exchange *x = front->spare;
        front->spare = x->next;
        free(x);
    }
    front->spare_count = 0;
}

int exchange_fill_path(struct exchange *x)
{
    struct exchange_request *r = &x->request;
    struct span path;
    target_split(r->target, &path, &r->query);
    free_path(x); /* of a head that was looked at before its body came */
    if (!memchr(path.data, '%', path.len)) {
        r->path = path;
        return 0;
    }
    if (path.len > sizeof(x->path_small)) {
        x->path = malloc(path.len);
        if (!x->path) {
            x->path = x->path_small;
            return -ENOMEM;
        }
    }
    r->path = (struct span){x->path, target_decode(path, false, x->path)};
    return 0;
}

int exchange_fill(struct exchange *x)
{
    const struct connection *c = x->connection;
    const struct guard *g = &c->guarded.guard;
    struct exchange_request *r = &x->request;
    r->method = guard_method_name(x->method);
    r->target = guard_target(g);
    r->head = guard_span(g, g->head.fields);
    r->request_id = guard_span(g, g->head.request_id);
    x->keeps_id = r->request_id.len > 0;
    r->remote_addr = c->remote;
    r->is_local = true; /* nothing but loopback and Unix sockets is listened on */
    r->arrived_ns = clock_mono_ns();
    return exchange_fill_path(x);
}

void exchange_detach(struct exchange *x)
{
    struct connection *c = x->connection;
    if (x->handler_holds && !x->pull) {
        /* The spans point into the guard's buffer, the address into the connection. */
        x->detached = guard_detach(&c->guarded.guard);
        memcpy(x->remote, c->remote, sizeof(x->remote));
        x->request.remote_addr = x->remote;
    }
    x->connection = NULL;
    x->mhd = NULL;
    if (c->exchange == x)
        c->exchange = NULL;
}

const struct exchange_request *exchange_request(const struct exchange *x)
{
    return &x->request;
}

struct span exchange_header(const struct exchange *x, const char *name)
{
    return head_field(x->request.head, name);
}

unsigned exchange_management(const struct exchange *x, const char **why)
{
    const struct exchange_request *r = &x->request;
    bool is_unix = strcmp(r->remote_addr, "unix") == 0;
    if (r->is_inside)
        return 0; /* object code sees the data folder anyway */
    return access_management(x->front->access, r->is_local, is_unix,
                             exchange_header(x, "Authorization"), why);
}

bool exchange_query(const struct exchange *x, const char *name, struct buf *out)
{
    return target_query(x->request.query, name, out);
}

void exchange_set_request_id(struct exchange *x, const char *id)
{
    if (x->request.request_id.len)
        return;
    snprintf(x->id, sizeof(x->id), "%s", id);
    x->request.request_id = span_of(x->id);
    x->keeps_id = true;
}

/* An id for the client to quote, when it gave none of its own. */
static const char *error_id(struct exchange *x)
{
    if (!x->request.request_id.len) {
        snprintf(x->id, sizeof(x->id), "%.64s-%llx-%llx", x->front->config->station_id,
                 (unsigned long long)x->front->id_base, (unsigned long long)++x->front->next_id);
        x->request.request_id = span_of(x->id);
    }
    return x->id;
}

void exchange_error_text(struct buf *json, const char *extra, const char *text)
{
    buf_puts(json, "{\"status\":\"error\"");
    json_put_member(json, "error", text);
    if (extra && *extra) {
        buf_putc(json, ',');
        buf_puts(json, extra);
    }
    buf_putc(json, '}');
}

void exchange_put_error(struct buf *body, const char *extra, const char *format, va_list ap)
{
    struct buf text = BUF_INIT;
    buf_vprintf(&text, format, ap);
    exchange_error_text(body, extra, buf_str(&text));
    buf_free(&text);
}

void exchange_retry_after(struct exchange *x, uint64_t seconds)
{
    x->retry_after = seconds;
}

static const char *retry_after(const struct exchange *x, char text[24])
{
    snprintf(text, 24, "%llu", (unsigned long long)(x->retry_after ? x->retry_after : 1));
    return text;
}

/* Takes the text; allow: NULL or the value of the Allow field. */
static void send_error(struct exchange *x, unsigned status, const char *allow, struct buf *body)
{
    struct exchange_field fields[3];
    char text[24];
    size_t n = 0;
    if (status == 503 || status == 429)
        fields[n++] = (struct exchange_field){"Retry-After", retry_after(x, text)};
    if (allow)
        fields[n++] = (struct exchange_field){"Allow", allow};
    if (!x->keeps_id)
        fields[n++] = (struct exchange_field){"X-Request-Id", error_id(x)};
    struct exchange_reply reply = {.status = status,
                                   .content_type = "application/json; charset=utf-8",
                                   .fields = fields,
                                   .field_count = n,
                                   .close = status == 413};
    reply.body = buf_take(body, &reply.body_size);
    exchange_reply(x, &reply);
}

void exchange_error(struct exchange *x, unsigned status, const char *extra, const char *format, ...)
{
    struct buf body = BUF_INIT;
    va_list ap;
    va_start(ap, format);
    exchange_put_error(&body, extra, format, ap);
    va_end(ap);
    send_error(x, status, NULL, &body);
}

void exchange_error_method(struct exchange *x, const char *allow, const char *text)
{
    struct buf body = BUF_INIT;
    exchange_error_text(&body, NULL, text);
    send_error(x, 405, allow, &body);
}
