// SPDX-License-Identifier: Apache-2.0
#include "worker/stacks.h"

#include "common/log.h"
#include "common/stack_marks.h"
#include "common/worker_fds.h"
#include "worker/py_embed.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    DEPTH_MAX = 64,
    ALT_STACK_SIZE = 64 * 1024, /* of a handler when the stack itself is what ran out */
    DIGITS_MAX = 12,
    ACTION_WORDS = 16, /* at least a struct sigaction of the kernel */
};

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static struct sigaction python_action[NSIG]; /* faulthandler's */
static char alt_stack[ALT_STACK_SIZE];

/* All below runs in signal handlers: nothing that allocates or locks. */

static void put(const char *text, size_t len)
{
    if (write(FD_STACKS, text, len) < 0)
        return; /* nobody reads any more */
}

static void put_mark(const char *mark)
{
    char digits[DIGITS_MAX];
    size_t n = sizeof(digits);
    pid_t pid = getpid();
    for (; pid > 0 && n > 0; pid /= 10)
        digits[--n] = (char)('0' + pid % 10);
    put(mark, strlen(mark));
    put(digits + n, sizeof(digits) - n);
    put(STACK_MARK_TAIL, strlen(STACK_MARK_TAIL));
}

static void dump(int signal)
{
    void *frames[DEPTH_MAX];
    put_mark(STACK_MARK_C);
    backtrace_symbols_fd(frames, backtrace(frames, DEPTH_MAX), FD_STACKS);
    put_mark(STACK_MARK_PYTHON);
    if (python_action[signal].sa_handler)
        python_action[signal].sa_handler(signal);
}

static void on_dump(int signal)
{
    int saved = errno;
    (void)signal;
    dump(SIGRTMAX);
    put_mark(STACK_MARK_END);
    errno = saved;
}

/*
 * faulthandler puts the default action back and raises the signal, which is blocked here: it ends
 * the process on return. A second fault meanwhile ends it at once.
 */
static void on_fatal(int signal)
{
    dump(signal);
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigaction(signal, &usual, NULL);
    raise(signal);
}

/* --- installing --- */

static void put_over(int signal, void (*handler)(int signal), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags | SA_ONSTACK};
    sigaction(signal, &action, &python_action[signal]);
}

/*
 * faulthandler registers no STACK_SIGNAL, nor does sigaction() take it: what they made for a signal
 * that hardly anybody uses is moved, in the form of the kernel.
 */
static void install_dump(void)
{
    unsigned long action[ACTION_WORDS] = {0};
    size_t set_size = _NSIG / 8;
    py_embed_dump_on(SIGRTMAX, FD_STACKS);
    put_over(SIGRTMAX, on_dump, SA_RESTART);
    if (syscall(SYS_rt_sigaction, SIGRTMAX, NULL, action, set_size) < 0 ||
        syscall(SYS_rt_sigaction, STACK_SIGNAL, action, NULL, set_size) < 0)
        log_warn("rt_sigaction: %s: no stacks of what hangs", strerror(errno));
    signal(SIGRTMAX, SIG_DFL);
}

void stacks_install(void)
{
    void *frame;
    backtrace(&frame, 1); /* the first call allocates, which a signal handler must not */
    stack_t alt = {.ss_sp = alt_stack, .ss_size = sizeof(alt_stack)};
    sigaltstack(&alt, NULL);
    install_dump();
    for (size_t i = 0; i < sizeof(fatal_signals) / sizeof(fatal_signals[0]); i++)
        put_over(fatal_signals[i], on_fatal, 0);
}
