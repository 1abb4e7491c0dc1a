// SPDX-License-Identifier: Apache-2.0
#include "worker/answers.h"

#include "common/channel.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memfd.h"
#include "common/worker_fds.h"
#include "worker/outbox.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

enum {
    BODY_INLINE_MAX = 48 * 1024, /* leaves room for the rest in an inline payload */
    SCRATCH_KEEP_CAP = 128 * 1024,
};
#define EAGER_NS 40000ull

static struct {
    struct channel channel;
    struct buf scratch;
    uint64_t last_number;
} answers;

void answers_start(void)
{
    channel_init(&answers.channel, FD_ANSWERS, RPC_FROM_WORKER, RPC_FROM_SUPERVISOR, UINT32_MAX);
    buf_reset(&answers.channel.out, 0); /* nothing is said on it */
}

/* Moves a large body into a memfd: it, -1 for none, or another -errno. */
static int body_memfd(struct rpc_ask *m)
{
    if (m->body.len <= BODY_INLINE_MAX)
        return -1;
    int fd = memfd_of("ask-body", m->body.data, m->body.len);
    if (fd < 0)
        return -ENOMEM;
    m->body_size = m->body.len;
    m->body.len = 0;
    return fd;
}

int answers_ask(uint64_t id, struct rpc_ask *m)
{
    int fd = body_memfd(m);
    if (fd == -ENOMEM)
        return fd;
    m->number = ++answers.last_number;
    rpc_ask_encode(&answers.scratch, m);
    int err = -ENOMEM;
    if (buf_ok(&answers.scratch))
        err = outbox_put(RPC_ASK, id, (struct span){answers.scratch.data, answers.scratch.len}, fd);
    else if (fd >= 0)
        close(fd);
    buf_reset(&answers.scratch, SCRATCH_KEEP_CAP);
    return err;
}

static bool take(const struct frame *f, struct answer *a)
{
    if (f->type != RPC_ANSWER || !rpc_answer_decode(f->payload, &a->m) ||
        (a->m.body_size > 0) != (f->fd_count == 1))
        return false;
    a->number = f->id;
    a->body_fd = f->fd_count ? answers.channel.frame_fds[0] : -1;
    return a->body_fd < 0 || memfd_verify(a->body_fd, a->m.body_size) == 0;
}

/* False: nothing has come. */
static bool receive(void)
{
    ssize_t n = channel_receive_now(&answers.channel);
    if (n == 0 || n == -ECONNRESET)
        _exit(EXIT_CODE_OK); /* the supervisor is gone */
    if (n < 0 && n != -EAGAIN)
        die(EXIT_CODE_ENVIRONMENT, "answers: %s", strerror((int)-n));
    return n > 0;
}

int answers_next(struct answer *a)
{
    const char *reason = "";
    struct frame f;
    int got;
    while ((got = channel_next(&answers.channel, &f, &reason)) == 0)
        if (!receive())
            return 0;
    if (got < 0)
        die(EXIT_CODE_INTERNAL, "answers: %s", got == -EPROTO ? reason : strerror(-got));
    if (!take(&f, a))
        die(EXIT_CODE_INTERNAL, "malformed or unexpected %s", rpc_name((uint16_t)f.type));
    return 1;
}

int answers_wait(void)
{
    struct pollfd p = {.fd = FD_ANSWERS, .events = POLLIN};
    uint64_t until = clock_mono_ns() + EAGER_NS;
    do {
        if (receive())
            return 0;
        sched_yield();
    } while (clock_mono_ns() < until);
    return poll(&p, 1, -1) > 0 ? 0 : -EINTR;
}
