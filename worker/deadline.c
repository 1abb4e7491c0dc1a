// SPDX-License-Identifier: Apache-2.0
#include "worker/deadline.h"

#include "worker/py_embed.h"
#include "worker/py_scope.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id /* glibc before 2.38 has the field without its name */
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum {
    REPEAT_NS = 20 * 1000 * 1000,
    REPEATS_MAX = 50,
};

static _Atomic uint64_t passed_id; /* 0: none, or taken */
static pthread_t main_thread;
static timer_t timer;
static bool has_timer;
static unsigned repeats; /* left; main thread */

static void repeat_soon(void)
{
    static const struct itimerspec soon = {.it_value = {.tv_nsec = REPEAT_NS}};
    uint64_t id = atomic_load(&passed_id);
    if (has_timer && repeats > 0 && id != 0 && id == py_scope_id()) {
        repeats--;
        timer_settime(timer, 0, &soon, NULL);
    }
}

/*
 * A signal that arrives after Python looked for signals and before it enters a system call does not
 * end that call: so it comes again for a second, or until the deadline was taken or the call ended.
 */
static void on_deadline(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    if (info->si_code == SI_QUEUE)
        atomic_store(&passed_id, (uint64_t)(uintptr_t)info->si_value.sival_ptr);
    /* A handler may be inside a system call: only its own thread's signal ends that. */
    if (!pthread_equal(pthread_self(), main_thread)) {
        pthread_kill(main_thread, signal);
    } else {
        if (info->si_code != SI_TIMER)
            repeats = REPEATS_MAX;
        py_embed_interrupt(signal);
        repeat_soon();
    }
    errno = saved;
}

void deadline_install(void)
{
    deadline_adopt_thread();
    struct sigaction deadline = {.sa_sigaction = on_deadline, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &deadline, NULL);
}

void deadline_adopt_thread(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    event.sigev_notify_thread_id = gettid();
    main_thread = pthread_self();
    has_timer = timer_create(CLOCK_MONOTONIC, &event, &timer) == 0;
}

bool deadline_take(uint64_t id)
{
    uint64_t expected = id;
    return id != 0 && atomic_compare_exchange_strong(&passed_id, &expected, 0);
}
