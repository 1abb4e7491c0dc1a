// SPDX-License-Identifier: Apache-2.0
#include "common/clock.h"
#include "common/log.h"
#include "common/shared_page.h"
#include "supervisor/objects/object.h"
#include "supervisor/process/nursery.h"
#include "supervisor/process/stack_dump.h"
#include "supervisor/process/worker_output.h"
#include "supervisor/process/worker_private.h"
#include "supervisor/station.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WORKER_PAYLOAD_MAX = 64 * 1024 * 1024, /* above what turn_writes_max may be set to */
    WORKER_FRAME_FDS_MAX = 2,              /* of one frame: its payload when spilled, its body */
};

static void on_load_late(void *arg)
{
    struct worker *w = arg;
    if (stack_dump_is_over(w))
        worker_kill(w, WORKER_BLAME_LOAD_TIME);
    else
        loop_timer_set(w->station->loop, &w->timer, STACK_DUMP_TICK_NS, on_load_late, w);
}

/* The descriptors that the child gets. */
struct child_fds {
    int fd[SPAWN_FDS];
};

static void close_child_fds(struct child_fds *child)
{
    for (int i = 0; i < SPAWN_FDS; i++)
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

static int make_channel(struct channel *c, int *child_fd)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    fcntl(sockets[0], F_SETFL, O_NONBLOCK);
    *child_fd = sockets[1];
    channel_init(c, sockets[0], RPC_FROM_SUPERVISOR, RPC_FROM_WORKER, WORKER_PAYLOAD_MAX);
    c->own_fds_max = WORKER_FRAME_FDS_MAX;
    return 0;
}

static int make_child_fds(struct worker *w, struct child_fds *child)
{
    int pipe_fds[2], err = make_channel(&w->channel, &child->fd[SPAWN_RPC]);
    if (!err)
        err = make_channel(&w->answers, &child->fd[SPAWN_ANSWERS]);
    if (err)
        return err;
    for (int i = 0; i < 2; i++) {
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
            return -errno;
        fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
        w->output_fd[i] = pipe_fds[0];
        child->fd[SPAWN_OUT + i] = pipe_fds[1];
    }
    return map_page(w, &child->fd[SPAWN_PAGE]);
}

static int watch_worker(struct worker *w)
{
    int err = worker_watch_channel(w);
    return err ? err : worker_output_watch(w);
}

struct worker_ref worker_spawn(struct worker_table *table, struct object *object, bool is_replica,
                               int (*fill)(struct worker *w), int *error)
{
    struct worker *w = worker_slot_take(table);
    *error = -ENOMEM;
    if (!w)
        return (struct worker_ref){0};
    w->object = object;
    w->is_replica = is_replica;
    struct child_fds child = {{-1, -1, -1, -1, -1}};
    *error = make_child_fds(w, &child);
    if (!*error)
        *error = watch_worker(w);
    if (!*error)
        *error = fill(w);
    if (*error) {
        close_child_fds(&child);
        worker_slot_free(w);
        return (struct worker_ref){0};
    }
    struct worker_ref ref = w->ref;
    *error = nursery_spawn(table->station->nursery, ref, child.fd); /* closes them */
    if (*error)
        worker_slot_free(w);
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
    worker_set_pid(w, pid);
    worker_touch(w); /* it is heard from now on */
    worker_event(w, WORKER_EV_FORKED);
}

void worker_spawn_lost(struct worker_table *table, struct worker_ref ref)
{
    struct worker *w = worker_get(table, ref);
    if (!w || w->pid)
        return;
    if (w->blame == WORKER_BLAME_NONE)
        w->blame = WORKER_BLAME_NURSERY;
    worker_exited(w, 0, NULL);
}

void worker_spawn_failed(struct worker_table *table, struct worker_ref ref, int error)
{
    struct worker *w = worker_get(table, ref);
    if (!w || w->pid)
        return;
    log_warn("no worker for %s: %s", w->object->id, strerror(error));
    worker_exited(w, 0, NULL);
}
