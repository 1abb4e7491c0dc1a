// SPDX-License-Identifier: Apache-2.0
/*
 * guard_driver - runs a byte stream through the guard in pieces, as the sockets would bring it, for
 * its unit test and its fuzzer.
 *
 * The transcript is everything that was handed on, canonical heads and bodies, with a line for each
 * complete request and the verdict at the end. It must not depend on the pieces.
 */
#ifndef TESTS_UNIT_GUARD_DRIVER_H
#define TESTS_UNIT_GUARD_DRIVER_H

#include "supervisor/http/guard.h"

struct guard_run {
    struct guard guard;
    struct buf transcript;
    size_t complete; /* requests */
    bool in_request;
};

static void guard_run_begin(struct guard_run *run, const struct guard_limits *limits)
{
    *run = (struct guard_run){0};
    guard_init(&run->guard, limits);
}

static void guard_run_end(struct guard_run *run)
{
    guard_free(&run->guard);
    buf_free(&run->transcript);
}

static void guard_run_complete(struct guard_run *run)
{
    struct guard *g = &run->guard;
    struct span target = guard_target(g), method = guard_method_name(g->head.method);
    buf_printf(&run->transcript, "<%.*s %.*s fields=%u host=%.*s>\n", (int)method.len, method.data,
               (int)target.len, target.data, g->head.field_count, (int)g->head.host.len,
               g->head.host.at ? g->bytes + g->head.host.at : "");
    run->complete++;
    run->in_request = false;
    guard_next(g);
}

/* Works on what is in the guard's own buffer until more has to be received. */
static void guard_run_pump(struct guard_run *run)
{
    struct guard *g = &run->guard;
    for (;;) {
        char bytes[300];
        if (g->state == GUARD_HEAD && guard_parse(g) == GUARD_HEAD)
            return;
        if (g->state == GUARD_REJECTED)
            return;
        if (!run->in_request) {
            run->in_request = true;
            size_t head_size = g->taken, n = guard_canonical(g, bytes);
            if (n > head_size || n > GUARD_CANONICAL_MAX)
                __builtin_trap();
            buf_append(&run->transcript, bytes, n);
        }
        size_t n;
        while ((n = guard_take(g, bytes, sizeof(bytes))) > 0)
            buf_append(&run->transcript, bytes, n);
        if (g->state == GUARD_COMPLETE)
            guard_run_complete(run);
        else if (g->state != GUARD_HEAD)
            return;
    }
}

static void guard_run_receive(struct guard_run *run, const char *bytes, size_t len)
{
    struct guard *g = &run->guard;
    while (len > 0 && g->state != GUARD_REJECTED) {
        size_t n;
        if (g->state == GUARD_HEAD) {
            char *into = guard_room(g, &n);
            if (n > len)
                n = len;
            memcpy(into, bytes, n);
            guard_received(g, n);
        } else {
            n = guard_body_wants(g) < len ? (size_t)guard_body_wants(g) : len;
            size_t used = guard_body(g, bytes, n);
            buf_append(&run->transcript, bytes, used);
            if (g->state == GUARD_COMPLETE && used < n)
                guard_keep(g, bytes + used, n - used);
            if (g->state == GUARD_COMPLETE)
                guard_run_complete(run);
        }
        bytes += n;
        len -= n;
        guard_run_pump(run);
    }
}

static void guard_run_verdict(struct guard_run *run)
{
    const struct guard *g = &run->guard;
    buf_printf(&run->transcript, "=%s\n",
               g->state == GUARD_REJECTED ? guard_violation_info(g->violation)->name
               : run->in_request          ? "body"
               : g->len > 0               ? "head"
                                          : "idle");
}

#endif
