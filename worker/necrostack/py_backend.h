// SPDX-License-Identifier: Apache-2.0
/*
 * py_backend - a struct backend at work in asyncio.
 *
 * Three things of one kind of backend (InMemoryBackend, RedisBackend):
 *
 * - struct py_backend_kind: what differs from kind to kind, one constant record each. The Spine
 *   finds it by the exact type of the object it was given and then drives the struct backend
 *   itself; a subclass is driven through its methods.
 * - struct py_backend, the bridge: one struct backend watched by one asyncio loop at a time: its
 *   descriptor by loop.add_reader, its deadline by loop.call_later.
 * - the awaitables of the Python methods: coroutine objects in C that do nothing before they are
 *   awaited, end at once when the backend does, and otherwise wait for backend_call.done.
 *
 * All of it holds the GIL. A call that another thread's enqueue completes wakes its own loop
 * through call_soon_threadsafe.
 */
#ifndef WORKER_NECROSTACK_PY_BACKEND_H
#define WORKER_NECROSTACK_PY_BACKEND_H

#include <Python.h>

#include "common/events/backend.h"
#include "common/events/eager_wait.h"

struct py_backend {
    PyObject_HEAD                /* callable: backend_progress(); reader and timer call it */
        struct backend *backend; /* NULL: closed */
    PyObject *loop;              /* who watches; NULL: nobody yet */
    PyObject *timer;             /* its TimerHandle, or NULL */
    uint64_t timer_at;           /* monotonic ns */
    int watched_fd;              /* the descriptor with a reader, or -1 */
    PyObject *waiters;           /* a set: the futures that its calls will end; or NULL */
    struct eager_wait wait;      /* of py_backend_poll() */
};

struct py_backend_kind {
    PyTypeObject *type;
    /* A run with a start event is over when the backend is empty: nobody else can add to it. */
    bool ends_when_empty;
    /* Events are written as JSON: py_event_ready() comes before that. */
    bool writes;
    /* The bridge for the loop that runs now, a new reference; NULL and an exception. */
    struct py_backend *(*here)(PyObject *owner);
    /* The exception for an errno (positive), a new reference; NULL and an exception. Words:
     * backend_error(), as long as bridge->backend is there. */
    PyObject *(*error)(PyObject *owner, struct py_backend *bridge, int error);
    /* Python code got this event by pull(): remember its delivery. NULL where nothing is to be
     * known. 0, or -1 with an exception. */
    int (*handed_out)(PyObject *owner, struct py_backend *bridge, PyObject *event,
                      const struct delivery *delivery);
    /* The delivery of an event that Python code acks or nacks, which is forgotten until that fails
     * (then it is handed out again). 1: found, id and attempt are set; 0: none is known, the
     * operation then does nothing; -1 with an exception. */
    int (*taken_back)(PyObject *owner, struct py_backend *bridge, PyObject *event,
                      struct delivery *delivery);
    /* What `await health()` gives, a new reference. */
    PyObject *(*health)(PyObject *owner, struct py_backend *bridge,
                        const struct backend_health *health);
    /* delete_stream(): as the operations of a backend; name may be NULL. NULL where there is none.
     */
    int (*remove)(struct backend *backend, const char *name, struct backend_call *call);
    /* What `await close()` does: 0, or -1 with an exception. */
    int (*close)(PyObject *owner);
};

/* Makes the kind known to py_backend_kind_of(); for module initialisation. */
void py_backend_register(const struct py_backend_kind *kind);
/* The kind of an object that is exactly of a built-in type; NULL otherwise. */
const struct py_backend_kind *py_backend_kind_of(PyObject *object);

/* A bridge, which owns the backend; NULL and an exception (the backend then stays the caller's). It
 * does not know its owner, who closes it. */
struct py_backend *py_backend_new(struct backend *backend);
/* Stops watching and closes the backend; calls under way end with -ESHUTDOWN. Twice is allowed. */
void py_backend_shut(struct py_backend *bridge);

/*
 * To be called after an operation gave -EINPROGRESS: from now on the running loop watches
 * descriptor and deadline. 0, or -1 with an exception.
 */
int py_backend_watch(struct py_backend *bridge);
/* Goes on until the flag is false or ns have passed, waiting for the descriptor without the GIL
 * (actively at first, where an answer is on its way); what the backend has not written yet, it
 * writes first. */
void py_backend_poll(struct py_backend *bridge, const bool *under_way, uint64_t ns);

/*
 * When py_event_wrap() raised ValidationError for this delivery: the event is nacked with the
 * error's words, and the exception cleared. The reference stays the caller's. 0; -1 with the
 * exception where it is another.
 */
int py_backend_refuse(struct py_backend *bridge, const struct delivery *unreadable);

/*
 * A future of the running loop, to be ended by py_backend_wake(); NULL and an exception. A loop
 * refers weakly to its tasks, so the bridge refers to the future, and thereby to the task that
 * waits for it: whatever can still end a wait keeps it.
 */
PyObject *py_backend_waiter(struct py_backend *bridge);
/* The wait is over: both references are dropped. NULL in either is allowed. */
void py_backend_drop_waiter(struct py_backend *bridge, PyObject **future);
/* A future that ends after so many seconds if it was not ended before; its timer refers to it. */
PyObject *py_backend_sleeper(double seconds);
/* Ends the future with None unless it is done already; from any thread with the GIL. */
void py_backend_wake(PyObject *future);
/* The loop that runs in this thread, a new reference; NULL and an exception. */
PyObject *py_backend_running_loop(void);

/* The argument `event` of a METH_FASTCALL | METH_KEYWORDS method that has no other, borrowed; NULL
 * and TypeError. */
PyObject *py_backend_only_event(const char *method, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords);

/* The awaitables (py_backend_call.c); new references. Arguments are checked at once: TypeError,
 * ValueError. */
PyObject *py_backend_enqueue(const struct py_backend_kind *kind, PyObject *owner, PyObject *event);
/* timeout: seconds; None: for as long as it takes; gives an Event, or None when there was none in
 * that time (or it could not be read and was refused). */
PyObject *py_backend_pull(const struct py_backend_kind *kind, PyObject *owner, PyObject *timeout);
PyObject *py_backend_ack(const struct py_backend_kind *kind, PyObject *owner, PyObject *event);
/* reason: a str, or NULL. */
PyObject *py_backend_nack(const struct py_backend_kind *kind, PyObject *owner, PyObject *event,
                          PyObject *reason);
PyObject *py_backend_health(const struct py_backend_kind *kind, PyObject *owner);
/* name: a str, or None. */
PyObject *py_backend_remove(const struct py_backend_kind *kind, PyObject *owner, PyObject *name);
/* Of `async with`: gives the owner. */
PyObject *py_backend_enter(const struct py_backend_kind *kind, PyObject *owner);
PyObject *py_backend_close(const struct py_backend_kind *kind, PyObject *owner);

#endif
