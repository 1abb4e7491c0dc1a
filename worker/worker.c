// SPDX-License-Identifier: Apache-2.0
#include "worker/worker.h"

#include "common/channel.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/shared_page.h"
#include "common/worker_fds.h"
#include "worker/answers.h"
#include "worker/deadline.h"
#include "worker/file_stage.h"
#include "worker/outbox.h"
#include "worker/py_async.h"
#include "worker/py_embed.h"
#include "worker/py_imports.h"
#include "worker/py_object.h"
#include "worker/py_outside.h"
#include "worker/py_state.h"
#include "worker/py_trial.h"
#include "worker/title.h"
#include "worker/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define EAGER_NS 40000ull

static struct {
    struct channel channel;
    struct shared_page *page;
    struct buf scratch;
    int wake_fd;
    bool is_loaded;
} worker;

/* --- setting up --- */

static void place(int from, int to, int flags)
{
    if (dup3(from, to, flags) < 0)
        die(EXIT_CODE_ENVIRONMENT, "dup3: %s", strerror(errno));
}

static void place_fds(const struct worker_fds *fds)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0)
        die(EXIT_CODE_ENVIRONMENT, "/dev/null: %s", strerror(errno));
    place(null, STDIN_FILENO, 0);
    place(fds->out, STDOUT_FILENO, 0);
    place(fds->err, STDERR_FILENO, 0);
    place(fds->err, FD_STACKS, O_CLOEXEC); /* over the nursery's own */
    /* What we got may lie where something is to be placed. */
    int answers = fcntl(fds->answers, F_DUPFD_CLOEXEC, FD_STACKS + 1);
    place(fds->rpc, FD_RPC, O_CLOEXEC); /* over the nursery's own socket */
    place(answers, FD_ANSWERS, O_CLOEXEC);
    /* Also those of other workers, when their SPAWN came together with ours. */
    if (close_range(FD_STACKS + 1, ~0u, 0) < 0)
        die(EXIT_CODE_ENVIRONMENT, "close_range: %s", strerror(errno));
}

static struct shared_page *map_page(int fd)
{
    void *page = mmap(NULL, sizeof(struct shared_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        die(EXIT_CODE_ENVIRONMENT, "shared page: %s", strerror(errno));
    close(fd);
    return page;
}

static void greet(void)
{
    rpc_hello_encode(&worker.scratch,
                     &(struct rpc_hello){.version = RPC_VERSION, .role = RPC_FROM_WORKER});
    outbox_put(RPC_HELLO, 0, (struct span){worker.scratch.data, worker.scratch.len}, -1);
    buf_reset(&worker.scratch, 0);
}

static void set_up(const struct worker_fds *fds)
{
    worker.page = map_page(fds->page);
    place_fds(fds);
    channel_init(&worker.channel, FD_RPC, RPC_FROM_WORKER, RPC_FROM_SUPERVISOR, UINT32_MAX);
    buf_reset(&worker.channel.out, 0); /* output goes through the outbox, the HELLO too */
    outbox_start(FD_RPC, worker.page);
    answers_start();
    turn_start(worker.page);
    deadline_adopt_thread();
    worker.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    py_outside_set_wake_fd(worker.wake_fd);
    greet();
}

/* --- frames --- */

static void leave(int code)
{
    py_embed_finish();
    outbox_flush();
    _exit(code);
}

static void put_and_reset(enum rpc_type type, uint64_t id)
{
    if (!buf_ok(&worker.scratch) ||
        outbox_put(type, id, (struct span){worker.scratch.data, worker.scratch.len}, -1) < 0)
        die(EXIT_CODE_ENVIRONMENT, "no memory for %s", rpc_name((uint16_t)type));
    buf_reset(&worker.scratch, 0);
}

/* What the object imports from the objects folder; late imports too. */
static void report_imports(void)
{
    struct buf list = BUF_INIT;
    struct rpc_imports m = {.import_count = py_imports_report(&list)};
    m.imports = (struct span){list.data ? list.data : "", list.len};
    if (m.import_count > 0 && buf_ok(&list)) {
        rpc_imports_encode(&worker.scratch, &m);
        put_and_reset(RPC_IMPORTS, 0);
    }
    buf_free(&list);
}

static void refuse_load(struct object_load_error *e)
{
    struct rpc_load_failed m = {
        .error = {e->error.data, e->error.len},
        .traceback = {e->traceback.data, e->traceback.len},
        .line = e->line,
    };
    report_imports();
    rpc_load_failed_encode(&worker.scratch, &m);
    put_and_reset(RPC_LOAD_FAILED, 0);
    leave(EXIT_CODE_OK);
}

static void show_title(struct span object_id)
{
    char title[256];
    snprintf(title, sizeof(title), "objectd-worker: %.*s", (int)object_id.len, object_id.data);
    title_set(title);
}

static bool on_load(struct channel *c, const struct frame *f)
{
    struct rpc_load m;
    if (worker.is_loaded || !rpc_load_decode(f->payload, &m) ||
        m.state.has_checkpoint != (f->fd_count == 1))
        return false;
    show_title(m.object_id);
    if (file_stage_load(&m.state.files) < 0)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the changes of files");
    struct object_load_error error = {0};
    struct buf metadata = BUF_INIT;
    if (py_object_load(&m, m.state.has_checkpoint ? c->frame_fds[0] : -1, &metadata, &error) < 0)
        refuse_load(&error);
    report_imports();
    rpc_ready_encode(&worker.scratch, &(struct rpc_ready){.metadata = {metadata.data, metadata.len},
                                                          .has_health = py_trial_has_health(),
                                                          .has_migrate = py_trial_has_migrate(),
                                                          .migrated = py_state_migrated()});
    put_and_reset(RPC_READY, 0);
    buf_free(&metadata);
    worker.is_loaded = true;
    return true;
}

static bool on_reset(struct channel *c, const struct frame *f)
{
    struct rpc_reset m;
    struct buf error = BUF_INIT;
    if (!rpc_reset_decode(f->payload, &m) || m.state.has_checkpoint != (f->fd_count == 1))
        return false;
    if (py_state_load(&m.state, m.state.has_checkpoint ? c->frame_fds[0] : -1, &error) < 0)
        die(EXIT_CODE_ENVIRONMENT, "state: %s", buf_str(&error));
    if (file_stage_load(&m.state.files) < 0)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the changes of files");
    put_and_reset(RPC_RESET_DONE, f->id);
    return true;
}

static bool on_update(struct channel *c, const struct frame *f)
{
    struct rpc_update m;
    struct buf error = BUF_INIT;
    (void)c;
    if (!rpc_update_decode(f->payload, &m))
        return false;
    if (py_state_update(m.writes, &error) < 0)
        die(EXIT_CODE_ENVIRONMENT, "state: %s", buf_str(&error));
    if (file_stage_accept(&m.files) < 0)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the files");
    atomic_store_explicit(&worker.page->applied_id, f->id, memory_order_release);
    return true;
}

static bool on_promote(struct channel *c, const struct frame *f)
{
    (void)c;
    py_state_promote();
    return rpc_empty_decode(f->payload);
}

static bool on_files_applied(struct channel *c, const struct frame *f)
{
    struct rpc_files_applied m;
    (void)c;
    if (!rpc_files_applied_decode(f->payload, &m))
        return false;
    file_stage_applied(&m.files);
    return true;
}

static bool on_exit_frame(struct channel *c, const struct frame *f)
{
    (void)c;
    if (!rpc_empty_decode(f->payload))
        return false;
    leave(EXIT_CODE_OK);
    return true;
}

static const struct frame_rule {
    enum rpc_type type;
    bool needs_object;
    bool (*run)(struct channel *c, const struct frame *f);
} rules[] = {
    {RPC_CALL, true, turn_run},
    {RPC_STREAM_PULL, true, turn_pull},
    {RPC_STREAM_CANCEL, true, turn_cancel},
    {RPC_LOAD, false, on_load},
    {RPC_UPDATE, true, on_update},
    {RPC_RESET, true, on_reset},
    {RPC_PROMOTE, true, on_promote},
    {RPC_FILES_APPLIED, true, on_files_applied},
    {RPC_EXIT, false, on_exit_frame},
};

static const struct frame_rule *rule_of(enum rpc_type type)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (rules[i].type == type)
            return &rules[i];
    return NULL;
}

static void dispatch(struct frame *f)
{
    const struct frame_rule *rule = rule_of(f->type);
    if (!rule || (rule->needs_object && !worker.is_loaded) || !rule->run(&worker.channel, f))
        die(EXIT_CODE_INTERNAL, "malformed or unexpected %s", rpc_name((uint16_t)f->type));
}

/* --- between the frames --- */

static void report_late_imports(void)
{
    if (worker.is_loaded && py_imports_have_grown())
        report_imports();
}

static void commit_outside_writes(void)
{
    uint64_t count;
    if (py_outside_is_empty())
        return;
    if (worker.wake_fd >= 0 && read(worker.wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        log_warn("eventfd: %s", strerror(errno));
    struct buf writes = BUF_INIT;
    uint32_t write_count;
    while (py_outside_drain(&writes, &write_count)) {
        struct rpc_outside_writes m = {write_count, {writes.data, writes.len}};
        rpc_outside_writes_encode(&worker.scratch, &m);
        put_and_reset(RPC_OUTSIDE_WRITES, 0);
        buf_reset(&writes, 0);
    }
    buf_free(&writes);
}

static void wait_in_poll(void)
{
    struct pollfd fds[] = {{.fd = FD_RPC, .events = POLLIN},
                           {.fd = worker.wake_fd, .events = POLLIN},
                           {.fd = py_async_fd(), .events = POLLIN}};
    py_embed_release();
    int ready = poll(fds, sizeof(fds) / sizeof(fds[0]), -1);
    py_embed_acquire();
    if (ready > 0 && fds[2].revents)
        py_async_idle(FD_RPC, worker.wake_fd);
}

/* Waits for frames while letting the object's own threads and tasks go on. */
static bool wait_for_input(void)
{
    if (py_async_has_pending())
        py_async_idle(FD_RPC, worker.wake_fd);
    else
        wait_in_poll();
    py_embed_run_signals();
    struct pollfd rpc = {.fd = FD_RPC, .events = POLLIN};
    return poll(&rpc, 1, 0) > 0;
}

/*
 * A lone call is often followed by another as soon as its client has the answer: looking again for
 * the time of about two wake-ups, and yielding, is quicker than sleeping. Under load calls come in
 * batches, and nothing waits.
 */
static ssize_t receive_eagerly(void)
{
    uint64_t until = clock_mono_ns() + EAGER_NS;
    ssize_t n;
    while ((n = channel_receive_now(&worker.channel)) == -EAGAIN && clock_mono_ns() < until)
        sched_yield();
    return n;
}

static void receive(bool is_lone)
{
    /* Nobody but the socket can wake a worker without other threads and without a loop. */
    bool is_alone = py_async_fd() < 0 && py_embed_is_single_threaded();
    if (!is_alone && !wait_for_input())
        return;
    py_embed_release();
    ssize_t n = is_lone && is_alone ? receive_eagerly() : -EAGAIN;
    if (n == -EAGAIN)
        n = channel_receive(&worker.channel);
    py_embed_acquire();
    if (n == 0 || n == -ECONNRESET)
        _exit(EXIT_CODE_OK); /* the supervisor is gone */
    if (n < 0)
        die(EXIT_CODE_ENVIRONMENT, "recvmsg: %s", strerror((int)-n));
}

void worker_main(const struct worker_fds *fds)
{
    set_up(fds);
    for (;;) {
        struct frame f;
        const char *reason = "";
        int got;
        unsigned count = 0;
        for (; (got = channel_next(&worker.channel, &f, &reason)) == 1; count++)
            dispatch(&f);
        if (got < 0)
            die(EXIT_CODE_INTERNAL, "frame: %s", got == -EPROTO ? reason : strerror(-got));
        report_late_imports();
        commit_outside_writes();
        outbox_flush();
        receive(count == 1);
    }
}
