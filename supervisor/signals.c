// SPDX-License-Identifier: Apache-2.0
#include "supervisor/signals.h"

#include "common/log.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct signals {
    int fd;
    struct loop_source *source;
    void (*fn)(void *arg, int signo);
    void *arg;
};

static const int watched[] = {SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGCHLD};

static void on_readable(void *arg, uint32_t events)
{
    struct signals *signals = arg;
    struct signalfd_siginfo info;
    (void)events;
    /* One a round: fn may free us, and the loop comes back while more are waiting. */
    if (read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        signals->fn(signals->arg, (int)info.ssi_signo);
}

static sigset_t watched_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
        sigaddset(&set, watched[i]);
    return set;
}

void signals_block(void)
{
    sigset_t set = watched_set();
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
        signal(SIGUSR2, SIG_IGN) == SIG_ERR)
        die(EXIT_CODE_ENVIRONMENT, "signals: %m");
}

struct signals *signals_new(struct loop *loop, void (*fn)(void *arg, int signo), void *arg)
{
    struct signals *signals = calloc(1, sizeof(*signals));
    sigset_t set = watched_set();
    if (!signals)
        die(EXIT_CODE_ENVIRONMENT, "signals: %m");
    signals_block();
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0)
        die(EXIT_CODE_ENVIRONMENT, "signalfd: %m");
    signals->fn = fn;
    signals->arg = arg;
    signals->source = loop_watch(loop, signals->fd, EPOLLIN, on_readable, signals);
    if (!signals->source)
        die(EXIT_CODE_ENVIRONMENT, "signalfd: %m");
    return signals;
}

void signals_free(struct signals *signals)
{
    if (!signals)
        return;
    loop_unwatch(signals->source);
    close(signals->fd);
    free(signals);
}

void signals_unblock(bool ignored)
{
    sigset_t none;
    sigemptyset(&none);
    for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
        signal(watched[i], ignored && watched[i] != SIGCHLD ? SIG_IGN : SIG_DFL);
    signal(SIGQUIT, ignored ? SIG_IGN : SIG_DFL);
    signal(SIGPIPE, ignored ? SIG_IGN : SIG_DFL);
    signal(SIGUSR2, ignored ? SIG_IGN : SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
