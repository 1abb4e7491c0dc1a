// SPDX-License-Identifier: Apache-2.0
/*
 * front_private - the front itself, for the files of this folder.
 */
#ifndef SUPERVISOR_HTTP_FRONT_PRIVATE_H
#define SUPERVISOR_HTTP_FRONT_PRIVATE_H

#include "supervisor/http/access.h"
#include "supervisor/http/body_clock.h"
#include "supervisor/http/connection.h"
#include "supervisor/http/front.h"
#include "supervisor/http/listeners.h"

#include <microhttpd.h>

enum front_rejection {
    FRONT_UNKNOWN_HOST, /* 421 */
    FRONT_FOREIGN_PAGE, /* 403 */
    FRONT_REJECTIONS
};

struct front {
    struct loop *loop;
    const struct config *config;
    void (*handler)(struct exchange *x, void *arg);
    void (*receiver)(struct exchange *x, void *arg); /* NULL: none */
    void *arg;
    struct access *access;
    struct access *next_access; /* of a configuration that was prepared */
    struct MHD_Daemon *daemon;
    struct guard_set guards;
    struct body_clock body_clock;
    struct listeners listeners;
    struct loop_source *source;     /* libmicrohttpd's epoll descriptor */
    struct loop_timer tick;         /* its timeouts */
    struct loop_timer again;        /* it has more to do than one round should spend */
    bool run_wanted;                /* a reply was queued since it last ran */
    bool is_leaving; /* no further connection or request is wanted */
    bool stopping;

    size_t connections;
    struct client_address *clients;
    struct exchange *exchanges; /* live ones */
    struct exchange *spare;     /* for reuse */
    size_t spare_count;
    size_t open; /* handed to the handler and not yet answered */
    uint64_t bodies_held;
    uint64_t next_id;
    uint64_t id_base;

    uint64_t accepted;
    uint64_t requests[6]; /* by the first digit of the status */
    uint64_t rejected[FRONT_REJECTIONS];
};

/* A reply was queued: libmicrohttpd runs at the end of this round, or at once in the next. */
void front_wants_run(struct front *front);

#endif
