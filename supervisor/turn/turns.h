// SPDX-License-Identifier: Apache-2.0
/*
 * turns - what the files of turn/ share: counters, the gate, the deadline tick. Private to turn/.
 */
#ifndef SUPERVISOR_TURN_TURNS_H
#define SUPERVISOR_TURN_TURNS_H

#include "supervisor/turn/ask.h"
#include "supervisor/turn/histogram.h"
#include "supervisor/turn/turn.h"

struct gate_waiter {
    struct gate_waiter *next;
    uint64_t seq;
    void (*fn)(void *arg);
    void *arg;
};

struct turns {
    struct station *station;
    uint64_t last_call_id;
    size_t queued;  /* calls in the queues of all objects */
    size_t sent;    /* calls in the hands of all workers */
    size_t running; /* of those: each worker runs as many as it can at once */
    size_t outstanding;
    size_t test_runs;            /* workers that run tests */
    size_t trials;               /* of candidates */
    struct call_list gated;      /* by gate_seq, smallest first */
    struct gate_waiter *waiters; /* by seq, smallest first */
    struct ask *orphans;         /* whose caller is gone, until they are answered */
    size_t waiting;              /* turns that wait for an answer to what they asked */
    struct loop_timer tick;      /* deadlines; armed while something is outstanding */

    struct histogram latency; /* admission to reply */
    uint64_t done, raised, timed_out, crashed, refused, commits;
    uint64_t rejected_queue_object, rejected_queue_station, rejected_queue_timeout;
    uint64_t rejected_backoff;
};

/* turn.c: a call goes to its worker, and comes back one way or another. */
void turn_hand_over(struct turns *turns, struct worker *w, struct call *call);
/* The call of that id, if its turn may be running: one of several at once, or the oldest. */
struct call *turn_running(const struct worker *w, uint64_t id);
void turn_take_back(struct turns *turns, struct worker *w, struct call *call);

/* Hands the call to this worker now; where that fails it is answered. */
void turn_send_to(struct turns *turns, struct worker *w, struct call *call);
/* Why the object does not load, as the answer. */
void turn_answer_unloadable(struct turns *turns, struct call *call);

/* gate.c */
void gate_hold(struct turns *turns, struct call *call);
void gate_release(struct turns *turns);
void gate_free(struct turns *turns);

/* answer.c: the last step; frees the call (or turns it into a stream). */
void answer_send(struct turns *turns, struct call *call);
/* Answers with an error instead, freeing the call. extra as exchange_error. */
void answer_error(struct turns *turns, struct call *call, unsigned status, const char *extra,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Frees a call whose client was answered already. */
void answer_forget(struct turns *turns, struct call *call);
/* Takes the descriptor of a frame's body, -1 when there is none; -EPROTO: it is not what it says.
 */
int answer_take_body(struct worker *w, const struct frame *f, uint64_t size, int *fd);
bool answer_turn_done(struct worker *w, const struct frame *f, const char **reason);
bool answer_outside_writes(struct worker *w, const struct frame *f, const char **reason);

/* stream.c */
/* The stream of an answer that was not taken: its generator is closed. */
void stream_refuse(struct worker *w, uint64_t id);
void stream_start(struct turns *turns, struct call *call, const struct exchange_reply *head);
bool stream_chunk(struct worker *w, const struct frame *f, const char **reason);
bool stream_end(struct worker *w, const struct frame *f, const char **reason);
/* No more of it will come: its client sees it break off. The call is freed when that is done. */
void stream_cut(struct call *call);

/* deadline.c */
void deadline_arm(struct turns *turns);

#endif
