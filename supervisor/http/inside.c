// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/inside.h"

#include "common/clock.h"
#include "supervisor/http/exchange_private.h"
#include "supervisor/http/front_private.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct span copy(char **at, struct span s)
{
    char *begin = *at;
    if (s.len)
        memcpy(begin, s.data, s.len);
    *at += s.len;
    return (struct span){begin, s.len};
}

/* The texts live in x->detached, as those of a client that has gone. */
static int keep(struct exchange *x, const struct inside_request *asked)
{
    struct exchange_request *r = &x->request;
    char *at = malloc(asked->target.len + asked->head.len + asked->body.len + 1);
    if (!at)
        return -ENOMEM;
    x->detached = at;
    r->target = copy(&at, asked->target);
    r->head = copy(&at, asked->head);
    if (asked->body_fd < 0)
        r->body = copy(&at, asked->body);
    size_t remote = asked->remote_addr.len;
    if (remote >= sizeof(x->remote))
        remote = sizeof(x->remote) - 1;
    memcpy(x->remote, asked->remote_addr.data, remote);
    x->remote[remote] = '\0';
    if (asked->request_id.len < sizeof(x->id)) {
        at = x->id;
        r->request_id = copy(&at, asked->request_id);
    }
    return 0;
}

static int fill(struct exchange *x, const struct inside_request *asked)
{
    struct exchange_request *r = &x->request;
    int err = keep(x, asked);
    if (err)
        return err;
    r->method = span_of(asked->method);
    r->body_fd = asked->body_fd;
    r->body_size = asked->body_fd < 0 ? asked->body.len : asked->body_size;
    r->remote_addr = x->remote;
    r->is_local = r->is_inside = true;
    r->arrived_ns = clock_mono_ns();
    err = exchange_fill_path(x);
    return !err && !body_hold(x, r->body_size) ? -ENOSPC : err;
}

struct exchange *inside_new(struct front *front, const struct inside_request *request,
                            inside_reply_fn fn, void *context, int *err)
{
    struct exchange *x = exchange_take(front);
    *err = x ? 0 : -ENOMEM;
    if (!x) {
        if (request->body_fd >= 0)
            close(request->body_fd);
        return NULL;
    }
    x->body_fd = request->body_fd;
    x->inside_fn = fn;
    x->inside_context = context;
    *err = fill(x, request);
    if (*err) {
        body_free(x);
        exchange_release(x);
        return NULL;
    }
    x->handler_holds = true;
    front->open++;
    return x;
}

void inside_dispatch(struct exchange *x)
{
    x->front->handler(x, x->front->arg);
}

const char *inside_method(struct span name)
{
    for (int m = 0; m < GUARD_METHODS; m++) {
        struct span known = guard_method_name((enum guard_method)m);
        if (known.len == name.len && memcmp(known.data, name.data, name.len) == 0)
            return known.data;
    }
    return NULL;
}
