// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/exchange_private.h"

#include "common/log.h"
#include "common/memfd.h"
#include "common/rpc.h"
#include "supervisor/http/front_private.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { BODY_INLINE_MAX = RPC_INLINE_MAX / 2 /* larger ones go to a memfd */ };

static bool fits(const struct front *front, uint64_t size)
{
    return size <= front->config->bodies_max &&
           front->bodies_held <= front->config->bodies_max - size;
}

bool body_hold(struct exchange *x, uint64_t size)
{
    if (!fits(x->front, size))
        return false;
    x->front->bodies_held += size;
    x->held += size;
    return true;
}

static enum guard_violation use_memfd(struct exchange *x)
{
    int fd = memfd_new("request-body");
    int err = fd < 0 ? fd : memfd_write(fd, x->body, x->request.body_size);
    if (err < 0) {
        log_warn("request body: %s", strerror(-err));
        if (fd >= 0)
            close(fd);
        return GUARD_BAD_no_memory;
    }
    x->body_fd = fd;
    if (x->body != x->body_small)
        free(x->body);
    x->body = x->body_small;
    x->body_cap = sizeof(x->body_small);
    return GUARD_FINE;
}

static bool grow(struct exchange *x, size_t size)
{
    bool small = x->body == x->body_small;
    char *grown = realloc(small ? NULL : x->body, size);
    if (!grown)
        return false;
    if (small)
        memcpy(grown, x->body_small, x->request.body_size);
    x->body = grown;
    x->body_cap = size;
    return true;
}

enum guard_violation body_begin(struct exchange *x)
{
    const struct guard_head *head = &x->connection->guarded.guard.head;
    if (head->length == 0 || x->sink)
        return GUARD_FINE; /* the sink may take it: it counts as it arrives */
    if (head->length > x->front->config->body_max)
        return GUARD_BAD_body_long; /* had it been an upload */
    if (!fits(x->front, head->length))
        return GUARD_BAD_bodies_full;
    /* A large one counts as it arrives: announcing much and sending nothing must not lock others
     * out. */
    if (head->length > BODY_INLINE_MAX)
        return use_memfd(x);
    body_hold(x, head->length);
    if (head->length > x->body_cap && !grow(x, head->length))
        return GUARD_BAD_no_memory;
    return GUARD_FINE;
}

enum guard_violation body_add(struct exchange *x, const char *bytes, size_t size)
{
    struct exchange_request *r = &x->request;
    uint64_t total = r->body_size + size;
    if (total > x->front->config->body_max)
        return GUARD_BAD_body_long;
    if (total > x->held && !body_hold(x, size))
        return GUARD_BAD_bodies_full;
    enum guard_violation bad = GUARD_FINE;
    if (x->body_fd < 0 && total > BODY_INLINE_MAX)
        bad = use_memfd(x);
    else if (x->body_fd < 0 && total > x->body_cap &&
             !grow(x, total * 2 < BODY_INLINE_MAX ? total * 2 : BODY_INLINE_MAX))
        bad = GUARD_BAD_no_memory;
    if (bad)
        return bad;
    if (x->body_fd < 0) {
        memcpy(x->body + r->body_size, bytes, size);
    } else {
        int err = memfd_write(x->body_fd, bytes, size);
        if (err < 0) {
            log_warn("request body: %s", strerror(-err));
            return GUARD_BAD_no_memory;
        }
    }
    r->body_size = total;
    return GUARD_FINE;
}

bool body_is_whole(const struct exchange *x)
{
    const struct guard *g = &x->connection->guarded.guard;
    uint64_t seen = x->sink_took ? x->body_taken : x->request.body_size;
    return g->state == GUARD_COMPLETE && seen == (g->head.chunked ? g->body_size : g->head.length);
}

enum guard_violation body_end(struct exchange *x)
{
    struct exchange_request *r = &x->request;
    r->body_fd = x->body_fd;
    if (x->body_fd < 0) {
        r->body = (struct span){r->body_size ? x->body : NULL, r->body_size};
        return GUARD_FINE;
    }
    int err = memfd_seal(x->body_fd);
    if (err < 0) {
        log_warn("request body: %s", strerror(-err));
        return GUARD_BAD_no_memory;
    }
    return GUARD_FINE;
}

void body_free(struct exchange *x)
{
    if (x->body_fd >= 0)
        close(x->body_fd);
    x->body_fd = -1;
    if (x->body != x->body_small)
        free(x->body);
    x->body = x->body_small;
    x->front->bodies_held -= x->held;
    x->held = 0;
}
