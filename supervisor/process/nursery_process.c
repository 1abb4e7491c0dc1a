// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/nursery_process.h"

#include "common/clock.h"
#include "supervisor/process/family.h"
#include "supervisor/process/program.h"
#include "supervisor/process/reaper.h"
#include "supervisor/station.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NURSERY_PAYLOAD_MAX = 4096 };
#define PATIENCE_SHARE 3 /* of start_timeout: objects must not be blamed for the nursery */

/* --- what it owes --- */

static void close_fds(struct spawn *s)
{
    for (int i = 0; i < SPAWN_FDS; i++)
        if (s->fds[i] >= 0)
            close(s->fds[i]);
}

void spawn_free(struct spawn *s)
{
    close_fds(s);
    free(s);
}

static struct spawn *take_sent(struct nursery_process *p, uint32_t slot, uint64_t generation)
{
    for (struct spawn **link = &p->sent; *link; link = &(*link)->next) {
        struct spawn *s = *link;
        if (s->ref.slot == slot && s->ref.generation == generation) {
            *link = s->next;
            return s;
        }
    }
    return NULL;
}

/* --- its answers --- */

static bool on_spawned(struct nursery_process *p, const struct frame *f)
{
    struct rpc_spawned m;
    if (!rpc_spawned_decode(f->payload, &m) || m.pid <= 1)
        return false;
    struct spawn *s = take_sent(p, m.slot, m.generation);
    if (!s)
        return false;
    worker_spawned(p->station->workers, s->ref, (pid_t)m.pid);
    spawn_free(s);
    return true;
}

static bool on_spawn_failed(struct nursery_process *p, const struct frame *f)
{
    struct rpc_spawn_failed m;
    if (!rpc_spawn_failed_decode(f->payload, &m))
        return false;
    struct spawn *s = take_sent(p, m.slot, m.generation);
    if (!s)
        return false;
    worker_spawn_failed(p->station->workers, s->ref, (int)m.error);
    spawn_free(s);
    return true;
}

static bool handle_frame(struct nursery_process *p, const struct frame *f)
{
    switch (f->type) {
    case RPC_SPAWNED:
        return on_spawned(p, f);
    case RPC_SPAWN_FAILED:
        return on_spawn_failed(p, f);
    default:
        return false;
    }
}

static void disconnect(struct nursery_process *p)
{
    loop_unwatch(p->source);
    p->source = NULL;
    loop_timer_cancel(&p->patience);
}

void nursery_process_end(struct nursery_process *p)
{
    disconnect(p);
    kill(p->pid, SIGKILL);
}

static void give_up(struct nursery_process *p)
{
    nursery_process_end(p);
    p->heard(p, p->arg);
}

static void on_silence(void *arg)
{
    log_warn("the nursery does not answer; starting another");
    give_up(arg);
}

/* Each answer is a sign of life. */
static void be_patient(struct nursery_process *p)
{
    if (!p->source || !p->sent)
        loop_timer_cancel(&p->patience);
    else
        loop_timer_set(p->station->loop, &p->patience,
                       p->station->config.start_timeout_ns / PATIENCE_SHARE, on_silence, p);
}

/* While its socket is full the rest waits for room. */
static void flush(struct nursery_process *p)
{
    if (!p->source)
        return;
    int err = channel_flush(&p->channel);
    if (err == 0 || err == -EAGAIN)
        err = loop_rewatch(p->source, EPOLLIN | (err ? EPOLLOUT : 0u));
    if (err == 0)
        return;
    log_error("the nursery cannot be asked: %s", strerror(-err));
    give_up(p);
}

/* False when it has nothing more to say. */
static bool receive(struct nursery_process *p)
{
    ssize_t got = channel_receive(&p->channel);
    if (got == -EAGAIN)
        return true;
    struct frame f;
    const char *reason = "a message that makes no sense";
    int more = got > 0 ? 0 : -EPIPE;
    if (got > 0)
        while ((more = channel_next(&p->channel, &f, &reason)) > 0)
            if (!handle_frame(p, &f))
                more = -EPROTO;
    if (more == -EPROTO)
        log_error("the nursery broke the protocol: %s", reason);
    return more >= 0;
}

static void on_channel(void *arg, uint32_t events)
{
    struct nursery_process *p = arg;
    struct station *station = p->station;
    if (events & ~(uint32_t)EPOLLOUT) {
        if (!receive(p))
            nursery_process_end(p);
        be_patient(p);
        p->heard(p, p->arg);
    }
    if (events & EPOLLOUT)
        flush(p);
    reaper_run(station); /* a zombie may have waited for the pid that came */
}

/* --- asked --- */

static int send_spawn(struct nursery_process *p, struct spawn *s)
{
    size_t frame = channel_begin(&p->channel, RPC_SPAWN, 0);
    struct rpc_spawn m = {.slot = s->ref.slot, .generation = s->ref.generation};
    struct buf folder = BUF_INIT, tasks = BUF_INIT;
    struct worker *w = worker_get(p->station->workers, s->ref);
    if (w)
        family_prepare(w, &m, &folder, &tasks);
    rpc_spawn_encode(&p->channel.out, &m);
    if (!buf_ok(&folder) || !buf_ok(&tasks))
        p->channel.out.failed = true;
    buf_free(&folder);
    buf_free(&tasks);
    int err = channel_end(&p->channel, frame, s->fds, SPAWN_FDS);
    for (int i = 0; i < SPAWN_FDS; i++)
        s->fds[i] = -1;
    return err;
}

void nursery_process_ask(struct nursery_process *p, struct spawn *list)
{
    bool owed_nothing = !p->sent;
    while (list) {
        struct spawn *s = list;
        list = s->next;
        int err = send_spawn(p, s);
        if (err) {
            worker_spawn_failed(p->station->workers, s->ref, -err);
            spawn_free(s);
            continue;
        }
        s->next = p->sent;
        p->sent = s;
    }
    if (owed_nothing)
        be_patient(p);
    flush(p);
}

bool nursery_process_ready(const struct nursery_process *p)
{
    return p->source && p->channel.greeted;
}

/* --- birth and death --- */

struct nursery_process *nursery_process_new(struct station *station, const struct config *config,
                                            void (*heard)(struct nursery_process *p, void *arg),
                                            void *arg, int *error)
{
    char *venv = config->venv;
    char *argv[] = {"objectd-worker", "--nursery", venv[0] ? "--venv" : NULL, venv, NULL};
    struct nursery_process *p = calloc(1, sizeof(*p));
    *error = -ENOMEM;
    if (!p)
        return NULL;
    p->station = station;
    p->heard = heard;
    p->arg = arg;
    int fd = program_start(config->worker_program, argv, &p->pid);
    if (fd < 0) {
        *error = fd;
        free(p);
        return NULL;
    }
    p->born_ns = clock_mono_ns();
    channel_init(&p->channel, fd, RPC_FROM_SUPERVISOR, RPC_FROM_NURSERY, NURSERY_PAYLOAD_MAX);
    p->source = loop_watch(station->loop, fd, EPOLLIN, on_channel, p);
    if (!p->source) {
        *error = -errno;
        nursery_process_free(p);
        return NULL;
    }
    return p;
}

static void release(struct nursery_process *p)
{
    disconnect(p);
    channel_free(&p->channel);
    while (p->sent) {
        struct spawn *s = p->sent;
        p->sent = s->next;
        spawn_free(s);
    }
    free(p);
}

void nursery_process_reaped(struct nursery_process *p)
{
    if (p->source) /* the last answers: those workers live */
        receive(p);
    while (p->sent) {
        struct spawn *s = p->sent;
        p->sent = s->next;
        struct worker_ref ref = s->ref;
        spawn_free(s);
        worker_spawn_lost(p->station->workers, ref);
    }
    release(p);
}

void nursery_process_free(struct nursery_process *p)
{
    kill(p->pid, SIGKILL); /* it holds nothing to be saved, and may be stopped or hang */
    waitpid(p->pid, NULL, 0);
    release(p);
}
