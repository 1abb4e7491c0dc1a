// SPDX-License-Identifier: Apache-2.0
/*
 * turn - the journey of a call through the station: admission, queue, CALL frame, TURN_DONE,
 * commit, output gate, reply. The heart of objectd; ARCHITECTURE.md, "One request".
 *
 *   turn_admit     a complete request for an object; limits, then the queue of the object
 *   turn_dispatch  queue -> worker, as far as the worker is there and its window is open
 *   turn_frame     what a worker answers: accepted (one journal record) or refused (RESET)
 *   gate.c         holds each reply until what it could have seen is durable
 *   deadline.c     ends turns that run too long, and waits that last too long
 *   stream.c       replies in chunks
 *
 * Loop thread only.
 */
#ifndef SUPERVISOR_TURN_TURN_H
#define SUPERVISOR_TURN_TURN_H

#include "supervisor/turn/call.h"

struct turns;

enum { TURN_WINDOW = 256 /* calls that one worker is sent ahead of its answers, at most */ };

struct turns *turns_new(struct station *station);
void turns_free(struct turns *turns);

/* Takes a complete request for an object that exists; answers it, sooner or later. */
void turn_admit(struct turns *turns, struct object *o, struct exchange *x,
                const struct call_origin *origin);
/*
 * The start of an object that a running turn waits for is about to be asked for. A turn that holds
 * a worker never waits for another: two could wait for each other. False: refused, x is answered.
 */
bool turn_lend_slot(struct object *o, struct exchange *x);
void turn_dispatch(struct turns *turns, struct object *o);
/* Answers everything queued: the object does not load (its load_error) or is gone. */
void turn_fail_queue(struct turns *turns, struct object *o);
/* Sends RESET with the accepted state. */
void turn_reset_worker(struct turns *turns, struct worker *w);

/* worker_hooks */
bool turn_frame(struct worker *w, const struct frame *f, const char **reason);
void turn_worker_dead(struct worker *w, int wait_status);

/* The store's durable position has grown. */
void turn_on_durable(void *turns);

/* Runs fn(arg) once `seq` is durable: at once, or later in the order of seq. -ENOMEM. */
int turn_when_durable(struct turns *turns, uint64_t seq, void (*fn)(void *arg), void *arg);

/* Calls queued, sent or gated. */
size_t turn_outstanding(const struct turns *turns);
void turn_status(const struct turns *turns, struct buf *json);
void turn_metrics(const struct turns *turns, struct buf *text);

/*
 * The newest call of a dead worker that had begun; a page that lies can only hurt the worker's own
 * calls. What broke the protocol was not listened to further: any of its calls may have begun.
 */
uint64_t turn_newest_begun(const struct worker *w);
/* When that call began, as far as it is known; monotonic. */
uint64_t turn_began_ns(const struct worker *w, const struct call *call);

#endif
