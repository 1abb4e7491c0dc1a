// SPDX-License-Identifier: Apache-2.0
#include <Python.h>

#include "worker/necrostack/py_watchdog.h"

#include "common/clock.h"
#include "worker/py_compat.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

/* The list is the lock's; a watch's `fired` and `thread` are the GIL's. Whoever holds the lock
 * never waits for the GIL. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static struct py_watch *watches;
static bool running, handles_fork;

/* When the stretch is too long: the past means now. Without one, the next cannot be before that. */
static uint64_t due(const struct py_watch *watch, uint64_t now)
{
    uint64_t since = atomic_load_explicit(&watch->since_ns, memory_order_relaxed);
    uint64_t from = since ? since : now;
    return watch->timeout_ns < UINT64_MAX - from ? from + watch->timeout_ns : UINT64_MAX;
}

static uint64_t next_due(uint64_t now)
{
    struct py_watch *watch;
    uint64_t next = UINT64_MAX;
    DL_FOREACH (watches, watch) {
        uint64_t at = due(watch, now);
        if (at < next)
            next = at;
    }
    return next;
}

/* With the GIL, so that what was seen stays true: a stretch may have ended while we waited for it.
 * One that goes on in spite of it is measured anew. At its end Python leaves daemon threads where
 * they stand, and takes the GIL down with itself. */
static void fire(void)
{
    if (py_is_finalizing())
        pthread_exit(NULL);
    PyGILState_STATE state = PyGILState_Ensure();
    struct py_watch *watch;
    pthread_mutex_lock(&lock);
    uint64_t now = clock_mono_ns();
    DL_FOREACH (watches, watch) {
        if (due(watch, now) > now)
            continue;
        atomic_store_explicit(&watch->since_ns, now, memory_order_relaxed);
        watch->fired = true;
        PyThreadState_SetAsyncExc(watch->thread, PyExc_TimeoutError);
    }
    pthread_mutex_unlock(&lock);
    PyGILState_Release(state);
}

static void wait_until(uint64_t at)
{
    struct timespec when = {.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)};
    if (at == UINT64_MAX)
        pthread_cond_wait(&changed, &lock);
    else
        pthread_cond_timedwait(&changed, &lock, &when);
}

static void *watch_all(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    for (;;) {
        uint64_t now = clock_mono_ns(), at = next_due(now);
        if (at > now) {
            wait_until(at);
            continue;
        }
        pthread_mutex_unlock(&lock);
        fire();
        pthread_mutex_lock(&lock);
    }
    return NULL;
}

static void make_condition(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* The parent's thread may have held the lock; here there is no such thread. Its stretches are not
 * ours: who is forked within one does something else. */
static void after_fork(void)
{
    struct py_watch *watch;
    pthread_mutex_init(&lock, NULL);
    make_condition();
    running = false;
    DL_FOREACH (watches, watch)
        atomic_store_explicit(&watch->since_ns, 0, memory_order_relaxed);
}

/* Signals are for the threads that run Python. */
static int start_thread(void)
{
    pthread_t thread;
    sigset_t all, before;
    int error;
    if (!handles_fork) {
        make_condition();
        pthread_atfork(NULL, NULL, after_fork);
        handles_fork = true;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, NULL, watch_all, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error)
        pthread_detach(thread);
    return error;
}

int py_watchdog_add(struct py_watch *watch, uint64_t timeout_ns)
{
    if (!running) {
        int error = start_thread();
        if (error)
            return PyErr_WarnFormat(
                PyExc_RuntimeWarning, 1,
                "handlers that do not await are not bounded by handler_timeout: "
                "no thread can be started (%s)",
                strerror(error));
        running = true;
    }
    watch->timeout_ns = timeout_ns;
    watch->thread = PyThread_get_thread_ident();
    watch->fired = false;
    pthread_mutex_lock(&lock);
    DL_APPEND(watches, watch);
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    return 0;
}

void py_watchdog_remove(struct py_watch *watch)
{
    if (!watch->prev) /* utlist gives the head one too */
        return;
    pthread_mutex_lock(&lock);
    DL_DELETE(watches, watch);
    pthread_mutex_unlock(&lock);
    watch->next = watch->prev = NULL;
}

/* --- taking back ------------------------------------------------------------------------------ */

/* A line of Python that does nothing: what is pending is raised in it. */
static PyObject *run_a_line(void)
{
    static PyObject *line, *names;
    if (!names && !(names = PyDict_New()))
        return NULL;
    if (!line && !(line = Py_CompileString("None", "<necrostack>", Py_eval_input)))
        return NULL;
    return PyEval_EvalCode(line, names, names);
}

/* What else came up in the line: an interrupt comes again, the rest has nobody to be told. */
static void pass_on(void)
{
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        PyErr_Clear();
        PyErr_SetInterrupt();
    } else
        PyErr_WriteUnraisable(NULL);
}

/*
 * PyThreadState_SetAsyncExc(thread, NULL) would do, but leaves Python 3.11 looking for an exception
 * before every instruction, and in an endless loop once something is traced. So it is raised where
 * it does no harm. A signal's handler may come before it, hence the second line.
 */
void py_watchdog_withdraw(struct py_watch *watch)
{
    enum { LINES = 2 };
    PyObject *before = py_take_exception(), *done = NULL;
    watch->fired = false;
    for (int i = 0; i < LINES && !(done = run_a_line()); i++) {
        if (PyErr_ExceptionMatches(PyExc_TimeoutError)) {
            PyErr_Clear();
            break;
        }
        pass_on();
    }
    Py_XDECREF(done);
    if (before)
        py_raise_again(before);
}
