// SPDX-License-Identifier: Apache-2.0
#include "worker/deadline.h"

#include "worker/py_embed.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { STACK_DEPTH_MAX = 64 };

static _Atomic uint64_t passed_id;
static pthread_t main_thread;

static void on_deadline(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    if (info->si_code == SI_QUEUE)
        atomic_store(&passed_id, (uint64_t)(uintptr_t)info->si_value.sival_ptr);
    /* A handler may be inside a system call: only its own thread's signal ends that. */
    if (!pthread_equal(pthread_self(), main_thread))
        pthread_kill(main_thread, signal);
    else
        py_embed_interrupt(signal);
    errno = saved;
}

static void on_dump(int signal)
{
    (void)signal;
    static const char title[] = "C stack:\n";
    void *frames[STACK_DEPTH_MAX];
    int saved = errno;
    if (write(STDERR_FILENO, title, sizeof(title) - 1) > 0)
        backtrace_symbols_fd(frames, backtrace(frames, STACK_DEPTH_MAX), STDERR_FILENO);
    errno = saved;
}

void deadline_install(void)
{
    void *frame;
    backtrace(&frame, 1); /* the first call allocates, which a signal handler must not */
    deadline_adopt_thread();
    struct sigaction deadline = {.sa_sigaction = on_deadline, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &deadline, NULL);
    struct sigaction dump = {.sa_handler = on_dump, .sa_flags = SA_RESTART};
    sigaction(SIGUSR2, &dump, NULL);
    py_embed_register_dump(SIGUSR2);
}

void deadline_adopt_thread(void)
{
    main_thread = pthread_self();
}

bool deadline_take(uint64_t id)
{
    uint64_t expected = id;
    return id != 0 && atomic_compare_exchange_strong(&passed_id, &expected, 0);
}
