// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/worker.h"

#include "common/clock.h"
#include "common/shared_page.h"
#include "supervisor/log/object_log.h"
#include "supervisor/objects/object.h"
#include "supervisor/process/nursery.h"
#include "supervisor/process/worker_output.h"
#include "supervisor/station.h"
#include "supervisor/turn/call.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKER_PAYLOAD_MAX = 64 * 1024 * 1024 };
#define EXIT_GRACE_NS (5 * NS_PER_S) /* from EXIT to SIGKILL */

struct worker_table {
    struct station *station;
    struct worker_hooks hooks;
    struct worker **slots; /* NULL: free */
    size_t slot_count;
    uint64_t last_generation;
    struct worker *dirty;
    struct worker *first_busy;
};

static void flush_dirty(void *arg);
static void free_slot(struct worker *w);

struct worker_table *worker_table_new(struct station *station, const struct worker_hooks *hooks)
{
    struct worker_table *table = calloc(1, sizeof(*table));
    if (!table)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the worker table");
    table->station = station;
    table->hooks = *hooks;
    loop_set_hook(station->loop, LOOP_RANK_WORKERS, flush_dirty, table);
    return table;
}

void worker_table_free(struct worker_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->slot_count; i++)
        if (table->slots[i])
            free_slot(table->slots[i]);
    free(table->slots);
    free(table);
}

struct worker *worker_get(struct worker_table *table, struct worker_ref ref)
{
    if (!worker_ref_set(ref) || ref.slot >= table->slot_count)
        return NULL;
    struct worker *w = table->slots[ref.slot];
    return w && w->ref.generation == ref.generation ? w : NULL;
}

size_t worker_count(const struct worker_table *table)
{
    size_t count = 0;
    for (size_t i = 0; i < table->slot_count; i++)
        count += table->slots[i] && table->slots[i]->pid;
    return count;
}

struct worker *worker_first_busy(const struct worker_table *table)
{
    return table->first_busy;
}

void worker_each(struct worker_table *table, void (*fn)(struct worker *w, void *arg), void *arg)
{
    for (size_t i = 0; i < table->slot_count; i++)
        if (table->slots[i])
            fn(table->slots[i], arg);
}

struct worker *worker_by_pid(struct worker_table *table, pid_t pid)
{
    for (size_t i = 0; i < table->slot_count; i++)
        if (table->slots[i] && table->slots[i]->pid == pid)
            return table->slots[i];
    return NULL;
}

bool worker_table_expects_pids(const struct worker_table *table)
{
    for (size_t i = 0; i < table->slot_count; i++)
        if (table->slots[i] && table->slots[i]->pid == 0)
            return true;
    return false;
}

/* --- output to the worker --- */

void worker_touch(struct worker *w)
{
    struct worker_table *table = w->station->workers;
    if (w->is_dirty || !w->channel_source)
        return;
    w->is_dirty = true;
    w->next_dirty = table->dirty;
    table->dirty = w;
}

static void stop_watching_channel(struct worker *w)
{
    loop_unwatch(w->channel_source);
    w->channel_source = NULL;
}

static void flush_worker(struct worker *w)
{
    int err = channel_flush(&w->channel);
    if (err && err != -EAGAIN) {
        stop_watching_channel(w); /* its death is on the way */
        return;
    }
    loop_rewatch(w->channel_source, err ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void flush_dirty(void *arg)
{
    struct worker_table *table = arg;
    while (table->dirty) {
        struct worker *w = table->dirty;
        table->dirty = w->next_dirty;
        w->is_dirty = false;
        if (w->channel_source)
            flush_worker(w);
    }
}

static void forget_dirty(struct worker *w)
{
    struct worker **link = &w->station->workers->dirty;
    while (*link && *link != w)
        link = &(*link)->next_dirty;
    if (*link)
        *link = w->next_dirty;
    w->is_dirty = false;
}

/* --- frames from the worker --- */

static void blame_protocol(struct worker *w, const char *reason)
{
    log_warn("worker %d of %s broke the protocol: %s", (int)w->pid, w->object->id, reason);
    w->protocol_reason = reason;
    worker_kill(w, WORKER_BLAME_PROTOCOL);
}

static bool on_ready(struct worker *w, const struct frame *f, const char **reason)
{
    struct rpc_ready m;
    *reason = "malformed READY";
    if (!rpc_ready_decode(f->payload, &m))
        return false;
    loop_timer_cancel(&w->timer);
    struct worker_ref ref = w->ref;
    struct worker_table *table = w->station->workers;
    enum worker_state before = w->state;
    worker_event(w, WORKER_EV_LOADED);
    if ((before == WORKER_SPAWNED || before == WORKER_LOADING) && worker_get(table, ref))
        table->hooks.ready(w, m.metadata);
    return true;
}

static bool on_load_failed(struct worker *w, const struct frame *f, const char **reason)
{
    struct rpc_load_failed m;
    *reason = "malformed LOAD_FAILED";
    if (!rpc_load_failed_decode(f->payload, &m))
        return false;
    enum worker_state before = w->state;
    worker_event(w, WORKER_EV_LOAD_FAILED);
    if (before == WORKER_SPAWNED || before == WORKER_LOADING)
        w->station->workers->hooks.load_failed(w, &m);
    return true;
}

static bool on_log(struct worker *w, const struct frame *f, const char **reason)
{
    struct rpc_log m;
    *reason = "malformed LOG";
    if (!rpc_log_decode(f->payload, &m))
        return false;
    char request_id[OBJECT_REQUEST_ID_SIZE] = "";
    const struct call *call = call_list_find(&w->inflight, f->id);
    if (!call)
        call = call_list_find(&w->streams, f->id);
    if (call)
        call_request_id(call, request_id, sizeof(request_id));
    object_log_write(w->object->log, m.level, m.wall_us, m.message, span_of(request_id),
                     w->object->version, m.fields);
    return true;
}

static bool handle_frame(struct worker *w, const struct frame *f, const char **reason)
{
    switch (f->type) {
    case RPC_READY:
        return on_ready(w, f, reason);
    case RPC_LOAD_FAILED:
        return on_load_failed(w, f, reason);
    case RPC_LOG:
        return on_log(w, f, reason);
    default:
        return w->station->workers->hooks.frame(w, f, reason);
    }
}

/* Handles every whole frame that was received. */
static void handle_frames(struct worker *w)
{
    struct worker_table *table = w->station->workers;
    struct worker_ref ref = w->ref;
    const char *reason = NULL;
    struct frame f;
    int got;
    while ((got = channel_next(&w->channel, &f, &reason)) > 0) {
        if (w->state == WORKER_KILLED && w->blame == WORKER_BLAME_PROTOCOL)
            return; /* nothing that it says counts any more */
        if (!handle_frame(w, &f, &reason)) {
            got = -EPROTO;
            break;
        }
        if (worker_get(table, ref) != w)
            return;
    }
    if (got < 0 && w->blame != WORKER_BLAME_PROTOCOL)
        blame_protocol(w, got == -EPROTO ? reason : strerror(-got));
}

static void on_channel(void *arg, uint32_t events)
{
    struct worker *w = arg;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = channel_receive(&w->channel);
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            stop_watching_channel(w); /* death is reported by the reaper */
            if (w->state != WORKER_DRAINING && w->state != WORKER_KILLED)
                worker_kill(w, w->blame);
            return;
        }
        struct worker_table *table = w->station->workers;
        struct worker_ref ref = w->ref;
        handle_frames(w);
        if (worker_get(table, ref) != w)
            return;
    }
    if (events & EPOLLOUT)
        worker_touch(w);
}

/* --- life --- */

static bool has_work(const struct worker *w)
{
    return w->inflight.count || w->streams.count || w->gated_streams;
}

static void set_busy(struct worker *w, bool busy)
{
    struct worker_table *table = w->station->workers;
    bool listed = w->prev_busy || w->next_busy || table->first_busy == w;
    if (busy == listed)
        return;
    if (busy) {
        w->next_busy = table->first_busy;
        if (table->first_busy)
            table->first_busy->prev_busy = w;
        table->first_busy = w;
        return;
    }
    if (w->prev_busy)
        w->prev_busy->next_busy = w->next_busy;
    else
        table->first_busy = w->next_busy;
    if (w->next_busy)
        w->next_busy->prev_busy = w->prev_busy;
    w->next_busy = w->prev_busy = NULL;
}

static void kill_process(struct worker *w)
{
    if (w->pid == 0)
        return; /* FORKED will come, and brings us here again */
    kill(-w->pid, SIGKILL);
    kill(w->pid, SIGKILL);
}

static void on_exit_late(void *arg)
{
    struct worker *w = arg;
    log_warn("worker %d of %s did not exit in time", (int)w->pid, w->object->id);
    worker_kill(w, WORKER_BLAME_UNWANTED);
}

static void send_exit(struct worker *w)
{
    if (has_work(w) || w->exit_sent)
        return;
    w->exit_sent = true;
    channel_end(&w->channel, channel_begin(&w->channel, RPC_EXIT, 0), NULL, 0);
    worker_touch(w);
    loop_timer_set(w->station->loop, &w->timer, EXIT_GRACE_NS, on_exit_late, w);
}

void worker_settle(struct worker *w)
{
    set_busy(w, has_work(w));
    if (w->state == WORKER_DRAINING)
        send_exit(w);
}

void worker_event(struct worker *w, enum worker_event event)
{
    struct worker_step step = worker_fsm_step(w->state, event);
    w->state = step.next;
    set_busy(w, has_work(w));
    switch (step.action) {
    case WORKER_DO_FINISH:
        send_exit(w);
        break;
    case WORKER_DO_KILL:
        kill_process(w);
        break;
    case WORKER_DO_BLAME:
        blame_protocol(w, worker_event_name(event));
        break;
    case WORKER_DO_NOTHING:
    case WORKER_DO_ANNOUNCE: /* the frame's handler does it: it has the content */
    case WORKER_DO_REPORT:
    case WORKER_DO_BURY:
        break;
    }
}

void worker_kill(struct worker *w, enum worker_blame blame)
{
    if (w->blame == WORKER_BLAME_NONE)
        w->blame = blame;
    worker_event(w, WORKER_EV_KILL);
}

static void on_load_late(void *arg)
{
    worker_kill(arg, WORKER_BLAME_LOAD_TIME);
}

static struct worker *take_slot(struct worker_table *table)
{
    size_t slot = 0;
    while (slot < table->slot_count && table->slots[slot])
        slot++;
    if (slot == table->slot_count) {
        size_t count = table->slot_count ? table->slot_count * 2 : 64;
        struct worker **grown = realloc(table->slots, count * sizeof(*grown));
        if (!grown)
            return NULL;
        memset(grown + table->slot_count, 0, (count - table->slot_count) * sizeof(*grown));
        table->slots = grown;
        table->slot_count = count;
    }
    struct worker *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    table->slots[slot] = w;
    w->station = table->station;
    w->ref = (struct worker_ref){(uint32_t)slot, ++table->last_generation};
    w->channel.fd = w->output_fd[0] = w->output_fd[1] = -1;
    w->born_ns = clock_mono_ns();
    return w;
}

static void free_slot(struct worker *w)
{
    struct worker_table *table = w->station->workers;
    set_busy(w, false);
    forget_dirty(w);
    loop_timer_cancel(&w->timer);
    loop_unwatch(w->channel_source);
    worker_output_close(w);
    channel_free(&w->channel);
    if (w->page)
        munmap(w->page, sizeof(*w->page));
    table->slots[w->ref.slot] = NULL;
    free(w);
}

/* The descriptors that the child gets: rpc, stdout, stderr, page. */
struct child_fds {
    int fd[4];
};

static void close_child_fds(struct child_fds *child)
{
    for (int i = 0; i < 4; i++)
        if (child->fd[i] >= 0)
            close(child->fd[i]);
}

static int map_page(struct worker *w, int *page_fd)
{
    *page_fd = memfd_create("worker-page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*page_fd < 0 || ftruncate(*page_fd, sizeof(struct shared_page)) < 0)
        return -errno;
    /* A worker that shrank it would make our reads fault. */
    if (fcntl(*page_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    void *page = mmap(NULL, sizeof(struct shared_page), PROT_READ, MAP_SHARED, *page_fd, 0);
    if (page == MAP_FAILED)
        return -errno;
    w->page = page;
    return 0;
}

static int make_child_fds(struct worker *w, struct child_fds *child)
{
    int sockets[2], pipe_fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    fcntl(sockets[0], F_SETFL, O_NONBLOCK);
    child->fd[0] = sockets[1];
    channel_init(&w->channel, sockets[0], RPC_FROM_SUPERVISOR, RPC_FROM_WORKER, WORKER_PAYLOAD_MAX);
    for (int i = 0; i < 2; i++) {
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
            return -errno;
        fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
        w->output_fd[i] = pipe_fds[0];
        child->fd[1 + i] = pipe_fds[1];
    }
    return map_page(w, &child->fd[3]);
}

static int watch_worker(struct worker *w)
{
    w->channel_source = loop_watch(w->station->loop, w->channel.fd, EPOLLIN, on_channel, w);
    if (!w->channel_source)
        return -errno;
    return worker_output_watch(w);
}

struct worker_ref worker_spawn(struct worker_table *table, struct object *object,
                               int (*fill)(struct worker *w), int *error)
{
    struct worker *w = take_slot(table);
    *error = -ENOMEM;
    if (!w)
        return (struct worker_ref){0};
    w->object = object;
    struct child_fds child = {{-1, -1, -1, -1}};
    *error = make_child_fds(w, &child);
    if (!*error)
        *error = watch_worker(w);
    if (!*error)
        *error = fill(w);
    if (*error) {
        close_child_fds(&child);
        free_slot(w);
        return (struct worker_ref){0};
    }
    struct worker_ref ref = w->ref;
    *error = nursery_spawn(table->station->nursery, ref, child.fd); /* closes them */
    if (*error)
        free_slot(w);
    else if (!worker_get(table, ref))
        *error = -EPIPE; /* refused at once: the slot is free again */
    if (*error)
        return (struct worker_ref){0};
    worker_touch(w);
    loop_timer_set(table->station->loop, &w->timer, table->station->config.start_timeout_ns,
                   on_load_late, w);
    return ref;
}

void worker_spawned(struct worker_table *table, struct worker_ref ref, pid_t pid)
{
    struct worker *w = worker_get(table, ref);
    if (!w || w->pid)
        return; /* its slot cannot be free before it was forked and reaped: gossip */
    w->pid = pid;
    worker_event(w, WORKER_EV_FORKED);
}

void worker_spawn_failed(struct worker_table *table, struct worker_ref ref, int error)
{
    struct worker *w = worker_get(table, ref);
    if (!w || w->pid)
        return;
    log_warn("no worker for %s: %s", w->object->id, strerror(error));
    worker_exited(w, 0);
}

/* What the worker had written into its outbox when it died is received now. */
static void receive_rest(struct worker *w)
{
    ssize_t n;
    while ((n = channel_receive(&w->channel)) > 0)
        handle_frames(w);
    uint32_t sent = w->page->outbox_sent, written = w->page->outbox_written;
    if (sent >= written || written > SHARED_OUTBOX_SIZE)
        return;
    buf_append(&w->channel.in, w->page->outbox + sent, written - sent);
    if (buf_ok(&w->channel.in))
        handle_frames(w);
}

void worker_exited(struct worker *w, int wait_status)
{
    struct worker_table *table = w->station->workers;
    loop_timer_cancel(&w->timer);
    if (w->blame != WORKER_BLAME_PROTOCOL)
        receive_rest(w);
    worker_read_output(w);
    worker_event(w, WORKER_EV_EXITED);
    table->hooks.dead(w, wait_status);
    free_slot(w);
}

const char *worker_death_text(int wait_status)
{
    static char text[64];
    if (WIFSIGNALED(wait_status))
        snprintf(text, sizeof(text), "signal %d (%s)", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)));
    else
        snprintf(text, sizeof(text), "exit status %d", WEXITSTATUS(wait_status));
    return text;
}
