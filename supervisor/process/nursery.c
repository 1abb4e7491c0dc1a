// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/nursery.h"

#include "common/clock.h"
#include "common/worker_fds.h"
#include "supervisor/process/backoff.h"
#include "supervisor/process/program.h"
#include "supervisor/process/reaper.h"
#include "supervisor/station.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NURSERY_PAYLOAD_MAX = 4096 };
#define RESTART_MAX_NS (1 * NS_PER_S)
#define PATIENCE_SHARE 3 /* of start_timeout: objects must not be blamed for the nursery */

/* A request that was sent, or waits for the nursery to come up. */
struct spawn {
    struct spawn *next;
    struct worker_ref ref;
    int fds[SPAWN_FDS]; /* -1 once sent */
};

struct nursery {
    struct station *station;
    pid_t pid;
    uint64_t born_ns;
    struct channel channel;
    struct loop_source *source;
    struct loop_timer restart;
    struct loop_timer patience; /* runs while answers are owed */
    struct backoff backoff;
    struct spawn *sent;    /* unanswered */
    struct spawn *waiting; /* not sent: it is down */
};

static void start(void *arg);

static struct spawn *take_sent(struct nursery *n, uint32_t slot, uint64_t generation)
{
    for (struct spawn **link = &n->sent; *link; link = &(*link)->next) {
        struct spawn *s = *link;
        if (s->ref.slot == slot && s->ref.generation == generation) {
            *link = s->next;
            return s;
        }
    }
    return NULL;
}

static bool on_spawned(struct nursery *n, const struct frame *f)
{
    struct rpc_spawned m;
    if (!rpc_spawned_decode(f->payload, &m) || m.pid <= 1)
        return false;
    struct spawn *s = take_sent(n, m.slot, m.generation);
    if (!s)
        return false;
    worker_spawned(n->station->workers, s->ref, (pid_t)m.pid);
    free(s);
    return true;
}

static bool on_spawn_failed(struct nursery *n, const struct frame *f)
{
    struct rpc_spawn_failed m;
    if (!rpc_spawn_failed_decode(f->payload, &m))
        return false;
    struct spawn *s = take_sent(n, m.slot, m.generation);
    if (!s)
        return false;
    worker_spawn_failed(n->station->workers, s->ref, (int)m.error);
    free(s);
    return true;
}

static bool handle_frame(struct nursery *n, const struct frame *f)
{
    switch (f->type) {
    case RPC_SPAWNED:
        return on_spawned(n, f);
    case RPC_SPAWN_FAILED:
        return on_spawn_failed(n, f);
    default:
        return false;
    }
}

static void disconnect(struct nursery *n)
{
    loop_unwatch(n->source);
    n->source = NULL;
}

/* It is of no use any more; what it owes is answered when it is reaped. */
static void give_up(struct nursery *n)
{
    disconnect(n);
    if (n->pid)
        kill(n->pid, SIGKILL);
}

static void on_silence(void *arg)
{
    struct nursery *n = arg;
    log_warn("the nursery does not answer; starting another");
    give_up(n);
}

/* Each answer is a sign of life. */
static void be_patient(struct nursery *n)
{
    if (!n->source || !n->sent)
        loop_timer_cancel(&n->patience);
    else
        loop_timer_set(n->station->loop, &n->patience,
                       n->station->config.start_timeout_ns / PATIENCE_SHARE, on_silence, n);
}

/* While its socket is full the rest waits for room. */
static void flush(struct nursery *n)
{
    if (!n->source)
        return;
    int err = channel_flush(&n->channel);
    if (err == 0 || err == -EAGAIN)
        err = loop_rewatch(n->source, EPOLLIN | (err ? EPOLLOUT : 0u));
    if (err == 0)
        return;
    log_error("the nursery cannot be asked: %s", strerror(-err));
    give_up(n);
}

static void receive(struct nursery *n)
{
    ssize_t got = channel_receive(&n->channel);
    if (got == -EAGAIN)
        return;
    struct frame f;
    const char *reason = "a message that makes no sense";
    int more = got > 0 ? 0 : -EPIPE;
    if (got > 0)
        while ((more = channel_next(&n->channel, &f, &reason)) > 0)
            if (!handle_frame(n, &f))
                more = -EPROTO;
    if (more >= 0)
        return;
    if (more == -EPROTO)
        log_error("the nursery broke the protocol: %s", reason);
    give_up(n);
}

static void on_channel(void *arg, uint32_t events)
{
    struct nursery *n = arg;
    if (events & ~(uint32_t)EPOLLOUT) {
        receive(n);
        be_patient(n);
    }
    if (events & EPOLLOUT)
        flush(n);
    reaper_run(n->station); /* a zombie may have waited for the pid that came */
}

static int send_spawn(struct nursery *n, struct spawn *s)
{
    size_t frame = channel_begin(&n->channel, RPC_SPAWN, 0);
    struct rpc_spawn m = {.slot = s->ref.slot, .generation = s->ref.generation};
    rpc_spawn_encode(&n->channel.out, &m);
    int err = channel_end(&n->channel, frame, s->fds, SPAWN_FDS);
    for (int i = 0; i < SPAWN_FDS; i++)
        s->fds[i] = -1;
    return err;
}

static void close_spawn_fds(struct spawn *s)
{
    for (int i = 0; i < SPAWN_FDS; i++)
        if (s->fds[i] >= 0)
            close(s->fds[i]);
}

static void fail_spawn(struct nursery *n, struct spawn *s, int error)
{
    close_spawn_fds(s);
    struct worker_ref ref = s->ref;
    free(s);
    worker_spawn_failed(n->station->workers, ref, error);
}

static void send_waiting(struct nursery *n)
{
    bool owed_nothing = !n->sent;
    while (n->waiting) {
        struct spawn *s = n->waiting;
        n->waiting = s->next;
        int err = send_spawn(n, s);
        if (err) {
            fail_spawn(n, s, -err);
            continue;
        }
        s->next = n->sent;
        n->sent = s;
    }
    if (owed_nothing)
        be_patient(n);
    flush(n);
}

static void start_again_later(struct nursery *n)
{
    uint64_t delay_ns = backoff_delay(&n->backoff, backoff_jitter());
    if (delay_ns > RESTART_MAX_NS)
        delay_ns = RESTART_MAX_NS; /* every cold object of the station waits for it */
    loop_timer_set(n->station->loop, &n->restart, delay_ns, start, n);
}

static void start(void *arg)
{
    struct nursery *n = arg;
    char *argv[] = {"objectd-worker", "--nursery", NULL};
    int fd = program_start(n->station->config.worker_program, argv, &n->pid);
    if (fd < 0) {
        log_error("cannot start %s: %s", n->station->config.worker_program, strerror(-fd));
        backoff_count(&n->backoff, 0);
        start_again_later(n);
        return;
    }
    n->born_ns = clock_mono_ns();
    channel_init(&n->channel, fd, RPC_FROM_SUPERVISOR, RPC_FROM_NURSERY, NURSERY_PAYLOAD_MAX);
    n->source = loop_watch(n->station->loop, fd, EPOLLIN, on_channel, n);
    if (!n->source) {
        log_error("cannot watch the nursery: %m");
        give_up(n);
        return;
    }
    send_waiting(n);
}

struct nursery *nursery_new(struct station *station)
{
    struct nursery *n = calloc(1, sizeof(*n));
    if (!n)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the nursery");
    n->station = station;
    n->channel.fd = -1;
    if (access(station->config.worker_program, X_OK) < 0)
        die(EXIT_CODE_ENVIRONMENT, "%s: %m", station->config.worker_program);
    start(n);
    return n;
}

void nursery_exited(struct nursery *n, int wait_status)
{
    if (!n->station->stopping)
        log_warn("the nursery died (%s); starting another", worker_death_text(wait_status));
    n->pid = 0;
    if (n->source) /* the last answers: those workers live */
        receive(n);
    disconnect(n);
    loop_timer_cancel(&n->patience);
    channel_free(&n->channel);
    while (n->sent) {
        struct spawn *s = n->sent;
        n->sent = s->next;
        struct worker_ref ref = s->ref;
        free(s);
        worker_spawn_lost(n->station->workers, ref);
    }
    backoff_count(&n->backoff, clock_mono_ns() - n->born_ns);
    start_again_later(n); /* while stopping too: what is queued for cold objects is still served */
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
    if (n->source)
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
        close_spawn_fds(s);
        free(s);
        return true;
    }
    return false;
}

pid_t nursery_pid(const struct nursery *n)
{
    return n->pid;
}

bool nursery_owes_pid(const struct nursery *n)
{
    return n->source && n->sent;
}

bool nursery_ready(const struct nursery *n)
{
    return n->source && n->channel.greeted;
}

void nursery_free(struct nursery *n)
{
    if (!n)
        return;
    loop_timer_cancel(&n->restart);
    loop_timer_cancel(&n->patience);
    disconnect(n);
    channel_free(&n->channel);
    if (n->pid) {
        kill(n->pid, SIGKILL); /* it holds nothing to be saved, and may be stopped or hang */
        waitpid(n->pid, NULL, 0);
    }
    free(n);
}
