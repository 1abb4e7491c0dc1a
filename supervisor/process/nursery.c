// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/nursery.h"

#include "common/clock.h"
#include "supervisor/process/backoff.h"
#include "supervisor/process/nursery_process.h"
#include "supervisor/station.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESTART_MAX_NS (1 * NS_PER_S)

struct nursery {
    struct station *station;
    struct nursery_process *all;     /* those below, and those that only owe answers */
    struct nursery_process *current; /* NULL: down */
    struct nursery_process *warm;    /* comes up to take its place; NULL: none */
    struct spawn *waiting;           /* not sent: it is down */
    struct loop_timer restart;
    struct backoff backoff;
    struct loop_timer warm_limit;
    void (*ready)(void *arg, const char *why);
    void *arg;
};

static void start(void *arg);

/* --- the processes --- */

static void forget(struct nursery *n, struct nursery_process *p)
{
    struct nursery_process **link = &n->all;
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    if (n->current == p)
        n->current = NULL;
    if (n->warm == p)
        n->warm = NULL;
}

static void end_if_retired(struct nursery *n, struct nursery_process *p)
{
    if (p != n->current && p != n->warm && p->source && !p->sent)
        nursery_process_end(p);
}

static void tell_ready(struct nursery *n, const char *why)
{
    void (*ready)(void *arg, const char *why) = n->ready;
    n->ready = NULL;
    loop_timer_cancel(&n->warm_limit);
    if (ready)
        ready(n->arg, why);
}

static void on_heard(struct nursery_process *p, void *arg)
{
    struct nursery *n = arg;
    if (p == n->warm && nursery_process_ready(p))
        tell_ready(n, NULL);
    end_if_retired(n, p);
}

static struct nursery_process *add(struct nursery *n, const struct config *config, int *error)
{
    struct nursery_process *p = nursery_process_new(n->station, config, on_heard, n, error);
    if (!p)
        return NULL;
    p->next = n->all;
    n->all = p;
    return p;
}

static void send_waiting(struct nursery *n)
{
    struct spawn *list = n->waiting;
    n->waiting = NULL;
    nursery_process_ask(n->current, list);
}

/* --- the one that is asked --- */

static void start_again_later(struct nursery *n)
{
    uint64_t delay_ns = backoff_delay(&n->backoff, clock_mono_ns(), backoff_jitter());
    if (delay_ns > RESTART_MAX_NS)
        delay_ns = RESTART_MAX_NS; /* every cold object of the station waits for it */
    loop_timer_set(n->station->loop, &n->restart, delay_ns, start, n);
}

static void start(void *arg)
{
    struct nursery *n = arg;
    const struct config *config = &n->station->config;
    int err;
    n->current = add(n, config, &err);
    if (n->current) {
        send_waiting(n);
        return;
    }
    log_error("cannot start %s: %s", config->worker_program, strerror(-err));
    backoff_failed(&n->backoff, clock_mono_ns());
    start_again_later(n);
}

struct nursery *nursery_new(struct station *station)
{
    struct nursery *n = calloc(1, sizeof(*n));
    if (!n)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the nursery");
    n->station = station;
    if (access(station->config.worker_program, X_OK) < 0)
        die(EXIT_CODE_ENVIRONMENT, "%s: %m", station->config.worker_program);
    start(n);
    return n;
}

static void current_died(struct nursery *n, uint64_t lived_ns, const struct process_end *end)
{
    if (!n->station->stopping)
        log_warn("the nursery died (%s); starting another", process_end_text(end));
    backoff_died(&n->backoff, clock_mono_ns(), lived_ns);
    start_again_later(n); /* while stopping too: what is queued for cold objects is still served */
}

static void warm_died(struct nursery *n, const struct process_end *end)
{
    char why[256];
    snprintf(why, sizeof(why), "the new nursery ended (%s)", process_end_text(end));
    tell_ready(n, why);
}

pid_t nursery_find(const struct nursery *n, bool (*is)(pid_t pid))
{
    for (const struct nursery_process *p = n->all; p; p = p->next)
        if (is(p->pid))
            return p->pid;
    return 0;
}

static struct nursery_process *process_of(const struct nursery *n, pid_t pid)
{
    struct nursery_process *p = n->all;
    while (p && p->pid != pid)
        p = p->next;
    return p;
}

bool nursery_has(const struct nursery *n, pid_t pid)
{
    return process_of(n, pid) != NULL;
}

void nursery_exited(struct nursery *n, pid_t pid, const struct process_end *end)
{
    struct nursery_process *p = process_of(n, pid);
    bool was_current = p == n->current, was_warm = p == n->warm;
    uint64_t lived_ns = clock_mono_ns() - p->born_ns;
    forget(n, p); /* first: what it owed may be asked for again at once */
    nursery_process_reaped(p);
    if (was_current)
        current_died(n, lived_ns, end);
    if (was_warm)
        warm_died(n, end);
}

int nursery_spawn(struct nursery *n, struct worker_ref ref, const int fds[SPAWN_FDS])
{
    struct spawn *s = calloc(1, sizeof(*s));
    if (!s) {
        for (int i = 0; i < SPAWN_FDS; i++)
            close(fds[i]);
        return -ENOMEM;
    }
    s->ref = ref;
    memcpy(s->fds, fds, sizeof(s->fds));
    s->next = n->waiting;
    n->waiting = s;
    if (n->current && n->current->source)
        send_waiting(n);
    return 0;
}

bool nursery_cancel(struct nursery *n, struct worker_ref ref)
{
    for (struct spawn **link = &n->waiting; *link; link = &(*link)->next) {
        struct spawn *s = *link;
        if (s->ref.generation != ref.generation)
            continue;
        *link = s->next;
        spawn_free(s);
        return true;
    }
    return false;
}

pid_t nursery_pid(const struct nursery *n)
{
    return n->current ? n->current->pid : 0;
}

bool nursery_owes_pid(const struct nursery *n)
{
    for (const struct nursery_process *p = n->all; p; p = p->next)
        if (p->source && p->sent)
            return true;
    return false;
}

bool nursery_ready(const struct nursery *n)
{
    return n->current && nursery_process_ready(n->current);
}

/* --- another one --- */

static void on_warm_late(void *arg)
{
    struct nursery *n = arg;
    nursery_process_end(n->warm);
    n->warm = NULL;
    tell_ready(n, "the new nursery was not ready within workers.start_timeout");
}

int nursery_warm(struct nursery *n, const struct config *config,
                 void (*ready)(void *arg, const char *why), void *arg)
{
    int err = 0;
    nursery_cool(n);
    n->warm = add(n, config, &err);
    if (!n->warm)
        return err;
    n->ready = ready;
    n->arg = arg;
    loop_timer_set(n->station->loop, &n->warm_limit, config->start_timeout_ns, on_warm_late, n);
    return 0;
}

void nursery_switch(struct nursery *n)
{
    struct nursery_process *old = n->current;
    loop_timer_cancel(&n->restart);
    n->current = n->warm;
    n->warm = NULL;
    if (old)
        end_if_retired(n, old);
    send_waiting(n);
}

void nursery_cool(struct nursery *n)
{
    loop_timer_cancel(&n->warm_limit);
    n->ready = NULL;
    if (n->warm)
        nursery_process_end(n->warm);
    n->warm = NULL;
}

void nursery_free(struct nursery *n)
{
    if (!n)
        return;
    loop_timer_cancel(&n->restart);
    loop_timer_cancel(&n->warm_limit);
    while (n->all) {
        struct nursery_process *p = n->all;
        n->all = p->next;
        nursery_process_free(p);
    }
    while (n->waiting) {
        struct spawn *s = n->waiting;
        n->waiting = s->next;
        spawn_free(s);
    }
    free(n);
}
