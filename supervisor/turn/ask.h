// SPDX-License-Identifier: Apache-2.0
/*
 * ask - what a running turn asked of an object and waits for: a call of its handler, or one of the
 * station's views of it.
 *
 * An ask becomes a request of the station's own (http/inside.h), so routes, limits and errors are
 * those of a client's. Who asks, how deep the chain is and how long it may last comes from the
 * record of the running call, never from what its worker says. An ask belongs to its caller's list
 * until it is answered; when the caller ends first, the callee goes on and nobody is told.
 */
#ifndef SUPERVISOR_TURN_ASK_H
#define SUPERVISOR_TURN_ASK_H

#include "supervisor/turn/call.h"

struct ask {
    struct ask *next, *prev; /* of the caller's, or of the station's orphans */
    struct turns *turns;
    struct call *caller;     /* NULL: nobody waits any more */
    struct call *callee;     /* NULL: not a call, or not admitted yet, or answered */
    uint64_t number;         /* the worker's own */
    uint64_t deadline_ns;    /* monotonic; 0: none */
    struct loop_timer timer; /* of a timeout of its own */
    bool by_handler;         /* the reply is of a turn that ended with `outcome` */
    enum rpc_outcome outcome;
};

/* ASK of a worker. */
bool ask_frame(struct worker *w, const struct frame *f, const char **reason);
/* The reply of the callee, about to be given, is its handler's; it shows records up to `seq`. */
void ask_handled(struct ask *ask, enum rpc_outcome outcome, uint64_t seq);
/* The turn is over: nobody waits for what it asked. */
void ask_abandon_all(struct call *caller);
/* What a forced stop leaves. */
void ask_free_orphans(struct turns *turns);

#endif
