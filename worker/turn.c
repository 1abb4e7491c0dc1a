// SPDX-License-Identifier: Apache-2.0
#include "worker/turn.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memfd.h"
#include "worker/outbox.h"
#include "worker/py_stream.h"
#include "worker/py_test.h"
#include "worker/py_trial.h"
#include "worker/py_turn.h"
#include "worker/reply.h"

#include <errno.h>
#include <unistd.h>

enum {
    DELAY_MAX_NS = 1000 * 1000, /* an answer never waits longer for a later turn */
    FLUSH_ANSWERS = 16,         /* so that both ends work at the same time */
    FLUSH_BYTES = 16 * 1024,
    BODY_INLINE_MAX = 48 * 1024, /* leaves room for fields and writes in an inline payload */
    SCRATCH_KEEP_CAP = 128 * 1024,
};

static struct {
    struct shared_page *page;
    struct reply reply;
    struct buf scratch;
    unsigned answers; /* put since the last flush */
} turn;

void turn_start(struct shared_page *page)
{
    turn.page = page;
}

static void mark_begun(uint64_t id)
{
    atomic_store_explicit(&turn.page->begun_id, id, memory_order_relaxed);
}

static void mark_running(uint64_t id)
{
    outbox_bound_delay(DELAY_MAX_NS);
    atomic_store_explicit(&turn.page->started_ns, clock_mono_ns(), memory_order_relaxed);
    atomic_store(&turn.page->running_id, id);
}

uint64_t turn_started_ns(void)
{
    return atomic_load_explicit(&turn.page->started_ns, memory_order_relaxed);
}

static void mark_waiting(void)
{
    atomic_store_explicit(&turn.page->running_id, 0, memory_order_release);
}

static void mark_idle(void)
{
    mark_waiting();
    if (++turn.answers >= FLUSH_ANSWERS || outbox_unsent() >= FLUSH_BYTES) {
        turn.answers = 0;
        outbox_flush();
    }
}

/* A child that object code forked came back from the handler: it has no part in the protocol. */
static void leave_when_foreign(void)
{
    if (outbox_is_foreign())
        _exit(EXIT_CODE_INTERNAL);
}

static int put_scratch(enum rpc_type type, uint64_t id, int fd)
{
    if (!buf_ok(&turn.scratch)) {
        if (fd >= 0)
            close(fd);
        return -ENOMEM;
    }
    int err = outbox_put(type, id, (struct span){turn.scratch.data, turn.scratch.len}, fd);
    buf_reset(&turn.scratch, SCRATCH_KEEP_CAP);
    return err;
}

/* Moves bytes above the inline limit into a memfd; -1 when they are small, else it or -errno. */
static int body_memfd(struct span *bytes, uint64_t *size)
{
    *size = 0;
    if (bytes->len <= BODY_INLINE_MAX)
        return -1;
    int fd = memfd_of("reply-body", bytes->data, bytes->len);
    if (fd < 0)
        return -ENOMEM;
    *size = bytes->len;
    bytes->len = 0;
    return fd;
}

static int send_reply(uint64_t id, struct reply *r)
{
    struct rpc_turn_done m = {
        .status = r->status,
        .outcome = r->outcome,
        .stream = r->is_stream,
        .content_type = r->content_type,
        .field_count = r->field_count,
        .fields = {r->fields.data, r->fields.len},
        .body = r->body,
        .write_count = r->write_count,
        .writes = {r->writes.data, r->writes.len},
        .files = {r->file_count, {r->files.data, r->files.len}},
        .schedules = {r->schedule_count, {r->schedules.data, r->schedules.len}},
    };
    if (!buf_ok(&r->fields) || !buf_ok(&r->writes) || !buf_ok(&r->files) ||
        !buf_ok(&r->schedules) || !buf_ok(&r->text))
        return -ENOMEM;
    int fd = body_memfd(&m.body, &m.body_size);
    if (fd == -ENOMEM)
        return fd;
    rpc_turn_done_encode(&turn.scratch, &m);
    return put_scratch(RPC_TURN_DONE, id, fd);
}

/* After the mark: what the supervisor sees unmarked past this time, it may give up for good. */
static bool is_too_late(const struct rpc_call *call)
{
    return call->expires_ns && clock_mono_ns() >= call->expires_ns;
}

static void refuse_late(struct reply *reply, int body_fd)
{
    if (body_fd >= 0)
        close(body_fd);
    reply_error(reply, 503, RPC_OUTCOME_REFUSED,
                "the call waited longer for its turn than workers.queue_timeout");
    reply_name_limit(reply, "queue_timeout");
}

static void run_tests(uint64_t id, const struct rpc_call *call, int body_fd)
{
    if (body_fd >= 0)
        close(body_fd);
    py_test_run(id, call, &turn.reply);
}

static void answer(uint64_t id, struct reply *reply)
{
    leave_when_foreign();
    /* The copy of the state holds what could not be said: only a fresh worker is right again. */
    if (send_reply(id, reply) < 0)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the answer of a turn");
    py_turn_release(reply);
}

void turn_answer(uint64_t id, struct reply *reply)
{
    answer(id, reply);
    outbox_flush();
}

bool turn_run(struct channel *c, const struct frame *f)
{
    struct rpc_call call;
    if (!rpc_call_decode(f->payload, &call) || (call.body_size > 0) != (f->fd_count == 1))
        return false;
    int body_fd = f->fd_count ? channel_take_fd(c, 0) : -1;
    if (body_fd >= 0 && memfd_verify(body_fd, call.body_size) < 0)
        return false;
    mark_begun(f->id);
    mark_running(f->id);
    bool is_answered = true;
    if (is_too_late(&call))
        refuse_late(&turn.reply, body_fd);
    else if (call.kind == RPC_CALL_TEST)
        run_tests(f->id, &call, body_fd);
    else if (call.kind == RPC_CALL_HEALTH || call.kind == RPC_CALL_MIGRATE)
        py_trial_run(f->id, &call, &turn.reply);
    else
        is_answered = py_turn_run(f->id, &call, body_fd, &turn.reply);
    if (!is_answered) {
        leave_when_foreign();
        mark_waiting();
        return true;
    }
    answer(f->id, &turn.reply);
    mark_idle();
    return true;
}

static void send_chunk(uint64_t id, struct span bytes)
{
    struct rpc_stream_chunk m = {.bytes = bytes};
    int fd = body_memfd(&m.bytes, &m.size);
    if (fd == -ENOMEM)
        die(EXIT_CODE_ENVIRONMENT, "no memory for a chunk");
    rpc_stream_chunk_encode(&turn.scratch, &m);
    if (put_scratch(RPC_STREAM_CHUNK, id, fd) < 0)
        die(EXIT_CODE_ENVIRONMENT, "no memory for a chunk");
}

static void send_stream_end(uint64_t id, struct span error)
{
    rpc_stream_end_encode(&turn.scratch, &(struct rpc_stream_end){error});
    if (put_scratch(RPC_STREAM_END, id, -1) < 0)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the end of a stream");
}

static void send_step(uint64_t id, struct stream_step *step)
{
    leave_when_foreign();
    if (step->kind == STREAM_STEP_CHUNK)
        send_chunk(id, step->bytes);
    else
        send_stream_end(id, step->bytes);
    py_stream_release(step);
}

void turn_step(uint64_t id, struct stream_step *step)
{
    send_step(id, step);
    outbox_flush();
}

bool turn_pull(struct channel *c, const struct frame *f)
{
    (void)c;
    if (!rpc_empty_decode(f->payload))
        return false;
    mark_running(f->id);
    struct stream_step step;
    py_stream_pull(f->id, &step);
    if (step.kind == STREAM_STEP_LATER) {
        leave_when_foreign();
        mark_waiting();
        return true;
    }
    send_step(f->id, &step);
    mark_idle();
    return true;
}

bool turn_cancel(struct channel *c, const struct frame *f)
{
    (void)c;
    if (!rpc_empty_decode(f->payload))
        return false;
    mark_running(f->id);
    py_stream_cancel(f->id);
    leave_when_foreign();
    mark_idle();
    return true;
}
