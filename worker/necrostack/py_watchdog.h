// SPDX-License-Identifier: Apache-2.0
/*
 * py_watchdog - bounds how long Python code may run that never awaits.
 *
 * One thread for the whole process, started with the first watch. When a watched stretch lasts
 * longer than its timeout, TimeoutError is raised in the Python thread that runs it: between two
 * instructions of Python, so a call that blocks in C (time.sleep, a system call) is interrupted
 * only when it returns. Beginning and ending a stretch costs two stores. All functions hold the
 * GIL.
 *
 * In a forked child the thread is missing until the next py_watchdog_add(), and stretches that were
 * under way are not bounded: a process that a handler forks may last.
 */
#ifndef WORKER_NECROSTACK_PY_WATCHDOG_H
#define WORKER_NECROSTACK_PY_WATCHDOG_H

#include <Python.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct py_watch {
    struct py_watch *next, *prev;
    uint64_t timeout_ns;
    unsigned long thread;
    _Atomic uint64_t since_ns; /* when the stretch began, monotonic; 0: none */
    bool fired;                /* TimeoutError was raised in this stretch */
};

/* From now on stretches of this watch are bounded. 0, or -1 with an exception. */
int py_watchdog_add(struct py_watch *watch, uint64_t timeout_ns);
/* The watch may be freed afterwards. One that was never added is allowed. */
void py_watchdog_remove(struct py_watch *watch);

/* A stretch begins in the thread that calls. */
static inline void py_watchdog_begin(struct py_watch *watch, uint64_t now_ns)
{
    atomic_store_explicit(&watch->since_ns, now_ns, memory_order_relaxed);
}

/* Takes back what a stretch that is over has not seen; an exception that is set stays set. */
void py_watchdog_withdraw(struct py_watch *watch);

/* It ends. True: it was too long; an exception that has not been seen yet is withdrawn. */
static inline bool py_watchdog_end(struct py_watch *watch)
{
    atomic_store_explicit(&watch->since_ns, 0, memory_order_relaxed);
    if (!watch->fired)
        return false;
    py_watchdog_withdraw(watch);
    return true;
}

#endif
