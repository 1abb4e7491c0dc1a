// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/scribe.h"

#include "common/clock.h"
#include "common/memfd.h"
#include "supervisor/process/backoff.h"
#include "supervisor/process/program.h"
#include "supervisor/scribe/scribe_private.h"
#include "supervisor/scribe/scribe_rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 * 1024 /* payload of what the scribe sends */ };
#define ANSWERS_SLICE_NS (1 * NS_PER_MS) /* of one round of the loop */
#define HURRY_CHECK_NS   (50 * NS_PER_MS)

static void on_socket(void *arg, uint32_t events);
static void on_restart(void *arg);

static void on_settle(void *arg)
{
    struct scribe *s = arg;
    scribe_jobs_settle(&s->jobs);
}

void scribe_fail_later(struct scribe *s, struct scribe_job *job, int err)
{
    job->err = err;
    loop_timer_set(s->loop, &s->settle, 0, on_settle, s);
}

static int connect_pair(struct scribe *s)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    s->source = loop_watch(s->loop, fds[0], EPOLLIN, on_socket, s);
    if (!s->source) {
        int err = -errno;
        close(fds[0]);
        close(fds[1]);
        return err;
    }
    channel_init(&s->channel, fds[0], RPC_FROM_SUPERVISOR, RPC_FROM_SCRIBE, ANSWER_MAX);
    s->child_fd = fds[1];
    return 0;
}

static void disconnect(struct scribe *s)
{
    loop_unwatch(s->source);
    s->source = NULL;
    channel_free(&s->channel);
    if (s->child_fd >= 0)
        close(s->child_fd);
    s->child_fd = -1;
}

static int start_process(struct scribe *s)
{
    if (s->channel.fd < 0) {
        int err = connect_pair(s);
        if (err)
            return err;
    }
    char level[2] = {(char)('0' + log_threshold()), '\0'};
    char *argv[] = {SCRIBE_PROGRAM_NAME, s->data_dir,
                    s->log_format == LOG_FORMAT_JSON ? "json" : "text", level, NULL};
    int err = program_run("/proc/self/exe", argv, s->child_fd, PROGRAM_IGNORES_SIGNALS, &s->pid);
    if (err)
        return err;
    close(s->child_fd);
    s->child_fd = -1;
    s->started_ns = clock_mono_ns();
    return 0;
}

static void hold_back(struct scribe *s)
{
    uint64_t delay_ns = backoff_delay(&s->backoff, clock_mono_ns(), backoff_jitter());
    if (!s->stopping)
        loop_timer_set(s->loop, &s->restart, delay_ns, on_restart, s);
}

static void on_restart(void *arg)
{
    struct scribe *s = arg;
    int err = s->pid ? 0 : start_process(s);
    if (err) {
        log_error("cannot start " SCRIBE_PROGRAM_NAME ": %s", strerror(-err));
        backoff_failed(&s->backoff, clock_mono_ns());
        hold_back(s);
    }
}

/* The process is of no use any more: it died, or broke the protocol. */
static void lose_process(struct scribe *s, const char *reason)
{
    if (!s->stopping)
        log_warn(SCRIBE_PROGRAM_NAME " lost: %s", reason);
    disconnect(s);
    if (s->pid > 0)
        kill(s->pid, SIGKILL);
    int err = s->stopping ? 0 : connect_pair(s);
    if (err)
        log_error("no socket for " SCRIBE_PROGRAM_NAME ": %s", strerror(-err));
    scribe_jobs_fail_all(&s->jobs, -EPIPE);
    scribe_jobs_settle(&s->jobs);
}

static bool take_checkpointed(struct scribe *s, struct scribe_job *job, const struct frame *f)
{
    struct scribe_rpc_checkpointed m;
    return scribe_rpc_checkpointed_decode(f->payload, &m) &&
           scribe_jobs_checkpointed(&s->jobs, job, m.index, -(int)m.error, m.keys);
}

static bool take_document(struct scribe *s, struct scribe_job *job, const struct frame *f)
{
    struct scribe_rpc_document m;
    if (!scribe_rpc_document_decode(f->payload, &m))
        return false;
    int fd = channel_take_fd(&s->channel, 0), err = -(int)m.error;
    if ((err == 0) != (fd >= 0) || (fd >= 0 && memfd_verify(fd, m.size) < 0)) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    return scribe_jobs_document(&s->jobs, job, err, fd, m.size);
}

static bool take_version(struct scribe *s, struct scribe_job *job, const struct frame *f)
{
    struct scribe_rpc_version_written m;
    return scribe_rpc_version_written_decode(f->payload, &m) &&
           scribe_jobs_version(&s->jobs, job, -(int)m.error, m.in_objects, m.version);
}

static bool take_number(struct scribe *s, struct scribe_job *job, const struct frame *f)
{
    struct scribe_rpc_number m;
    return scribe_rpc_number_decode(f->payload, &m) &&
           scribe_jobs_number(&s->jobs, job, -(int)m.error, m.value);
}

static bool take_measured(struct scribe *s, struct scribe_job *job, const struct frame *f)
{
    struct scribe_rpc_measured m;
    return scribe_rpc_measured_decode(f->payload, &m) &&
           scribe_jobs_measured(&s->jobs, job, -(int)m.error, m.bytes, m.count);
}

static bool take_removed(struct scribe *s, const struct frame *f)
{
    struct scribe_rpc_log_removed m;
    if (!scribe_rpc_log_removed_decode(f->payload, &m))
        return false;
    if (s->log_removed)
        s->log_removed(s->log_removed_arg, m.object_id, m.files, m.lines);
    return true;
}

static bool take_files(struct scribe *s, struct scribe_job *job, const struct frame *f)
{
    struct scribe_rpc_files_done m;
    return scribe_rpc_files_done_decode(f->payload, &m) &&
           scribe_jobs_files(&s->jobs, job, -(int)m.error, m.limit);
}

static bool take_found(struct scribe_job *job, const struct frame *f)
{
    struct scribe_rpc_tree_found m;
    return scribe_rpc_tree_found_decode(f->payload, &m) && scribe_jobs_tree(job, &m);
}

static bool take_answer(struct scribe *s, const struct frame *f)
{
    if (f->type == RPC_LOG_REMOVED)
        return take_removed(s, f);
    struct scribe_job *job = scribe_jobs_find(&s->jobs, f->id);
    if (!job)
        return false;
    switch (f->type) {
    case RPC_CHECKPOINTED:
        return take_checkpointed(s, job, f);
    case RPC_NUMBER:
        return take_number(s, job, f);
    case RPC_MEASURED:
        return take_measured(s, job, f);
    case RPC_FILES_DONE:
        return take_files(s, job, f);
    case RPC_VERSION_WRITTEN:
        return take_version(s, job, f);
    case RPC_TREE_FOUND:
        return take_found(job, f);
    default:
        return take_document(s, job, f);
    }
}

/*
 * What has come, at least some of it, until about that time: a scan finds more than one round of
 * the loop should take in. NULL, or why the process has to go.
 */
static const char *take_answers(struct scribe *s, uint64_t until_ns)
{
    struct frame f;
    const char *reason = "malformed answer";
    do {
        ssize_t n = channel_receive(&s->channel);
        if (n <= 0)
            return n == -EAGAIN ? NULL : n ? strerror((int)-n) : "it closed its socket";
        int got;
        while ((got = channel_next(&s->channel, &f, &reason)) == 1)
            if (!take_answer(s, &f))
                return "an answer to nothing that was asked";
        if (got < 0)
            return got == -EPROTO ? reason : strerror(-got);
    } while (clock_mono_ns() < until_ns);
    return NULL;
}

const char *scribe_send(struct scribe *s)
{
    int err = channel_flush(&s->channel);
    if (err == 0 || err == -EAGAIN)
        err = loop_rewatch(s->source, EPOLLIN | (err ? EPOLLOUT : 0u));
    return err ? strerror(-err) : NULL;
}

static void on_socket(void *arg, uint32_t events)
{
    struct scribe *s = arg;
    const char *reason = events & EPOLLOUT ? scribe_send(s) : NULL;
    if (events & ~(uint32_t)EPOLLOUT)
        reason = take_answers(s, clock_mono_ns() + ANSWERS_SLICE_NS);
    if (reason)
        lose_process(s, reason);
}

static void take_limits(struct scribe *s, const struct config *config)
{
    s->log_format = config->log_format;
    s->timeout_ns = config->view_timeout_ns;
    s->documents_max = config->views_max;
}

void scribe_configure(struct scribe *s, const struct config *config)
{
    take_limits(s, config);
    scribe_log_setup(s, config->log_format, config->log_level);
}

struct scribe *scribe_new(struct loop *loop, const struct config *config)
{
    struct scribe *s = calloc(1, sizeof(*s));
    if (s)
        s->data_dir = strdup(config->data_dir);
    if (!s || !s->data_dir)
        die(EXIT_CODE_ENVIRONMENT, "no memory for the scribe");
    s->loop = loop;
    take_limits(s, config);
    s->channel.fd = s->child_fd = -1;
    int err = start_process(s);
    if (err)
        die(EXIT_CODE_ENVIRONMENT, "cannot start " SCRIBE_PROGRAM_NAME ": %s", strerror(-err));
    return s;
}

pid_t scribe_pid(const struct scribe *s)
{
    return s->pid;
}

void scribe_reaped(struct scribe *s, const struct process_end *end)
{
    if (s->pid == 0)
        return;
    if (!s->stopping)
        log_warn(SCRIBE_PROGRAM_NAME " died (%s)", process_end_text(end));
    s->pid = 0;
    uint64_t now_ns = clock_mono_ns();
    backoff_died(&s->backoff, now_ns, now_ns - s->started_ns);
    if (s->child_fd < 0 && s->channel.fd >= 0) { /* not yet replaced: its last answers count */
        take_answers(s, UINT64_MAX);
        lose_process(s, "it ended");
    }
    hold_back(s);
}

/* Reaps a process that is going, so that the next one can start without the loop. */
static void reap(struct scribe *s)
{
    struct process_end end = process_end_reap(s->pid);
    scribe_reaped(s, &end);
}

/* A process that is connected, now. */
static int need_process(struct scribe *s)
{
    if (s->pid > 0 && (s->child_fd >= 0 || s->channel.fd < 0))
        reap(s);
    loop_timer_cancel(&s->restart);
    return s->pid > 0 ? 0 : start_process(s);
}

/* Not longer than until `end_ns`. */
static void serve_once(struct scribe *s, uint64_t end_ns)
{
    uint64_t now_ns = clock_mono_ns();
    int timeout_ms = end_ns > now_ns ? (int)((end_ns - now_ns) / NS_PER_MS) + 1 : 0;
    short output = channel_has_output(&s->channel) ? POLLOUT : 0;
    struct pollfd p = {.fd = s->channel.fd, .events = (short)(POLLIN | output)};
    if (poll(&p, 1, timeout_ms) <= 0)
        return;
    uint32_t events = p.revents & POLLOUT ? EPOLLOUT : 0;
    if (p.revents & ~POLLOUT)
        events |= EPOLLIN;
    on_socket(s, events);
}

void scribe_set_hurry(struct scribe *s, bool (*is_hurried)(void))
{
    s->is_hurried = is_hurried;
}

static bool is_hurried(const struct scribe *s)
{
    return s->is_hurried && s->is_hurried();
}

bool scribe_wait(struct scribe *s, uint64_t timeout_ns)
{
    uint64_t end_ns = clock_mono_ns() + timeout_ns;
    scribe_jobs_settle(&s->jobs);
    while (scribe_jobs_awaited(&s->jobs) && clock_mono_ns() < end_ns && !is_hurried(s)) {
        int err = need_process(s);
        if (err) {
            scribe_jobs_fail_all(&s->jobs, err);
            scribe_jobs_settle(&s->jobs);
            break;
        }
        uint64_t look_ns = clock_mono_ns() + HURRY_CHECK_NS;
        serve_once(s, look_ns < end_ns ? look_ns : end_ns);
        scribe_jobs_settle(&s->jobs);
    }
    return !scribe_jobs_awaited(&s->jobs);
}

/* It exits at the end of its socket, unless it hangs. */
static void end_process(struct scribe *s, uint64_t timeout_ns)
{
    int pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    if (poll(&p, 1, (int)(timeout_ns / NS_PER_MS)) <= 0)
        kill(s->pid, SIGKILL);
    if (pidfd >= 0)
        close(pidfd);
    reap(s);
}

void scribe_free(struct scribe *s)
{
    if (!s)
        return;
    if (!scribe_wait(s, SCRIBE_END_S * NS_PER_S))
        log_warn(SCRIBE_PROGRAM_NAME " does not answer: ended");
    s->stopping = true;
    disconnect(s); /* end of file is its order to exit */
    if (s->pid > 0)
        end_process(s, s->jobs.list || is_hurried(s) ? 0 : SCRIBE_END_S * NS_PER_S);
    loop_timer_cancel(&s->restart);
    loop_timer_cancel(&s->expiry);
    loop_timer_cancel(&s->settle);
    scribe_jobs_free(&s->jobs);
    free(s->data_dir);
    free(s);
}
