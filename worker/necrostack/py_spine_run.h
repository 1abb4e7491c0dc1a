// SPDX-License-Identifier: Apache-2.0
/*
 * py_spine_run - one run of a Spine: a coroutine that is a state machine.
 *
 * A state is a function that does its step and says what comes next: the next state at once, a wait
 * (the state set then gets the value, or NULL with the exception), a turn for the loop, or the end.
 * The table is in py_spine_run.c; the steps are in py_spine_pull.c, py_spine_handle.c and
 * py_spine_publish.c; what bounds its waits is py_spine_late.c:
 *
 *   BEGIN -> PUBLISH (the start event) -> PULL -> PULLED -> TAKE -> HANDLE <-> HANDLED -> PUBLISH
 *   <-> PUBLISHED -> ACK -> ACKED -> PULL ... -> END
 *
 * with KEPT (a handler's failure is stored) between HANDLED and HANDLE, and STORED (an event that
 * could not be enqueued is) between PUBLISHED and PUBLISH. What was taken and not settled when a
 * run ends with an exception is given back.
 */
#ifndef WORKER_NECROSTACK_PY_SPINE_RUN_H
#define WORKER_NECROSTACK_PY_SPINE_RUN_H

#include <Python.h>

#include <stddef.h>

#include "common/clock.h"
#include "worker/necrostack/py_coroutine.h"
#include "worker/necrostack/py_necrostack.h"
#include "worker/necrostack/py_spine.h"
#include "worker/necrostack/py_spine_acks.h"
#include "worker/necrostack/py_watchdog.h"

enum spine_state {
    SPINE_BEGIN,
    SPINE_PULL,
    SPINE_PULLED,
    SPINE_TAKE,
    SPINE_HANDLE,
    SPINE_HANDLED,
    SPINE_KEPT,
    SPINE_PUBLISH,
    SPINE_PUBLISHED,
    SPINE_STORED,
    SPINE_ACK,
    SPINE_ACKED,
    SPINE_END,
    SPINE_STATES
};

enum spine_step {
    SPINE_ON,    /* run->state comes at once */
    SPINE_WAIT,  /* run->state comes when what run->coroutine.waiting_for says has come */
    SPINE_YIELD, /* run->state comes after the loop had its turn */
    SPINE_DONE,
    SPINE_FAILED /* an exception is set */
};

/* A call of the struct backend. */
struct spine_call {
    struct spine_run *run;
    bool under_way;
    int result; /* 0 or -errno once it is not */
    union {
        struct backend_call plain;
        struct pull_call pull;
    } call;
};

/* How often a pull of somebody's backend that does not end is looked at: after stop() it is
 * cancelled. */
#define SPINE_PULL_GRACE_NS (NS_PER_S / 2)

/* What a timer of the loop does when the wait under way lasts too long. */
enum spine_late { SPINE_LATE_NOTHING, SPINE_LATE_HANDLER, SPINE_LATE_PULL };

struct spine_run {
    struct py_coroutine coroutine;
    struct py_spine *spine;
    PyObject *start; /* the start event, or NULL */
    bool unlimited, ends_when_empty, left;
    uint64_t stops; /* spine->stops when the run was made: another number means stop */
    enum spine_state state;
    struct py_backend *bridge; /* NULL: the backend is driven through its methods */
    unsigned long long steps;
    uint64_t now, slice_end;

    /* waiting */
    PyObject *ready;  /* a value that needed no wait, for the next state */
    bool raised;      /* the next state gets NULL and the exception instead */
    PyObject *waiter; /* the future that a call, or stop() where may_stop, ends */
    bool may_stop;    /* stop() need not wait for what is waited for */
    enum spine_late late_means;
    uint64_t late_at; /* 0: the wait under way has no bound */
    bool late;        /* it was too long; the task was cancelled by us */
    PyObject *timer, *task;
    long cancelling; /* how often the task was asked to cancel before we did */
    struct py_watch watch;
    PyObject *weak_references;

    /* pulling */
    struct spine_call pull;
    bool pull_asked; /* the call of `pull` is under way or its result not used yet */
    struct delivery next;
    unsigned long long failed_pulls; /* one after the other */
    uint64_t asked_at;
    double nap; /* after an empty pull that did not wait */

    /* the event being handled */
    PyObject *event; /* NULL: none */
    struct delivery delivery;
    PyObject *organs; /* a tuple of the table of routes; borrowed */
    Py_ssize_t organ;
    uint64_t called_at; /* when its handler was called */
    bool overtime;      /* which took too long without awaiting */
    bool acks;          /* all that shall be done was done: it may be acknowledged */

    /* what came of it */
    struct event **emitted; /* references */
    size_t emitted_count, emitted_room;
    size_t published, publishing; /* how many are in the backend, how many on the way to it */
    bool singly;                  /* one enqueue an event, the ack apart */
    bool acknowledged;            /* sent, or on its way, together with what was emitted */
    unsigned long long attempts;
    struct spine_call settle;
    struct spine_acks acks_under_way; /* of earlier events */
    PyObject *failure;                /* the exception being stored */
};

/* A new run, which has not begun; NULL and an exception. */
PyObject *spine_run_new(struct py_spine *spine, PyObject *start, bool unlimited);
/* stop() was called. */
void spine_run_stop(struct spine_run *run);

static inline bool spine_run_stopped(const struct spine_run *run)
{
    return run->spine->stops != run->stops;
}

/* What the handlers emitted are Python's own events; borrowed. */
static inline PyObject *spine_run_emitted(const struct spine_run *run, size_t index)
{
    return (PyObject *)((char *)run->emitted[index] - offsetof(struct py_event, event));
}

/* --- for the steps ---------------------------------------------------------------------------- */

static inline enum spine_step spine_run_on(struct spine_run *run, enum spine_state state)
{
    run->state = state;
    return SPINE_ON;
}

/* Is the exception being raised a failure of what was called? Otherwise it ends the run: one that
 * is no Exception, or that says so by an attribute of its class, `ends_spine_run` (a station's
 * deadline does). */
bool spine_run_is_failure(void);
/* Waits for an awaitable, stolen; anything else is its own value. NULL is an exception. Either
 * comes to `state`. */
enum spine_step spine_run_await(struct spine_run *run, PyObject *awaitable, enum spine_state state);
/* Waits until the call of the struct backend has ended, or stop() may end the wait. */
enum spine_step spine_run_await_call(struct spine_run *run, struct spine_call *call,
                                     enum spine_state state);
/* The same for whatever unsets a flag and wakes the run. */
enum spine_step spine_run_await_flag(struct spine_run *run, const bool *under_way, bool may_stop,
                                     enum spine_state state);
enum spine_step spine_run_sleep(struct spine_run *run, double seconds, enum spine_state state);
/* The exception being raised, taken, when the Spine may treat it as a failure: an Exception. NULL:
 * it ends the run. */
PyObject *spine_run_take_failure(void);
/* The exception of a struct backend's -errno as one being raised. */
void spine_run_raise_errno(struct spine_run *run, int error);
/* The event being handled and what came of it are done with. */
void spine_run_forget_event(struct spine_run *run);
/* For a struct spine_call before it is made. */
void spine_run_prepare(struct spine_run *run, struct spine_call *call);

/* The steps; value is None unless the state was waited for. */
enum spine_step spine_pull_ask(struct spine_run *run, PyObject *value);
enum spine_step spine_pull_use(struct spine_run *run, PyObject *value);
enum spine_step spine_pull_take(struct spine_run *run, PyObject *value);
enum spine_step spine_handle_call(struct spine_run *run, PyObject *value);
enum spine_step spine_handle_use(struct spine_run *run, PyObject *value);
enum spine_step spine_handle_kept(struct spine_run *run, PyObject *value);
enum spine_step spine_publish_begin(struct spine_run *run, PyObject *value);
enum spine_step spine_publish_send(struct spine_run *run, PyObject *value);
enum spine_step spine_publish_sent(struct spine_run *run, PyObject *value);
enum spine_step spine_publish_stored(struct spine_run *run, PyObject *value);
enum spine_step spine_publish_ack(struct spine_run *run, PyObject *value);
enum spine_step spine_publish_acked(struct spine_run *run, PyObject *value);

/* Asks the struct backend for the next event without waiting; nothing when that was done already.
 */
void spine_pull_ahead(struct spine_run *run);

#endif
