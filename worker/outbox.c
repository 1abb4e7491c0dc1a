// SPDX-License-Identifier: Apache-2.0
#include "worker/outbox.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memfd.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id /* glibc before 2.38 has the field without its name */
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum {
    LOG_DELAY_NS = 100 * 1000 * 1000, /* how long a log line of a long turn may wait */
    RETRY_NS = 200 * 1000,            /* the timer found the lock held or the socket full */
};

/* Both counters move in one store: a reader never sees one of them old and the other new. */
typedef uint64_t __attribute__((may_alias)) counter_pair;
static_assert(offsetof(struct shared_page, outbox_written) ==
                  offsetof(struct shared_page, outbox_sent) + 4,
              "the counters are neighbours");
static_assert(offsetof(struct shared_page, outbox_sent) % 8 == 0, "the pair is aligned");

static struct {
    struct shared_page *page;
    int fd;
    atomic_bool busy;
    bool foreign;
    bool has_timer;
    timer_t timer;
    uint64_t timer_due; /* monotonic; 0: not armed */
} box = {.fd = -1};

static void lock(void)
{
    while (atomic_exchange_explicit(&box.busy, true, memory_order_acquire))
        sched_yield();
}

static void unlock(void)
{
    atomic_store_explicit(&box.busy, false, memory_order_release);
}

static uint32_t written(void)
{
    return atomic_load_explicit(&box.page->outbox_written, memory_order_relaxed);
}

static uint32_t sent(void)
{
    return atomic_load_explicit(&box.page->outbox_sent, memory_order_relaxed);
}

static void count_sent(uint64_t bytes)
{
    uint64_t base = atomic_load_explicit(&box.page->outbox_base, memory_order_relaxed);
    atomic_store_explicit(&box.page->outbox_base, base + bytes, memory_order_release);
}

/* Empty first: between the two stores nothing is unsent, whatever the base says. */
static void rewind_counters(uint32_t bytes)
{
    __atomic_store_n((counter_pair *)&box.page->outbox_sent, 0, __ATOMIC_RELEASE);
    count_sent(bytes);
}

/* Sends without waiting; 0 when all is gone, -EAGAIN when the socket is full. */
static int send_waiting(void)
{
    uint32_t from = sent(), to = written();
    while (from < to) {
        ssize_t n = send(box.fd, box.page->outbox + from, to - from, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return -EAGAIN;
        if (n < 0)
            _exit(EXIT_CODE_ENVIRONMENT); /* nobody is left to work for */
        from += (uint32_t)n;
        atomic_store_explicit(&box.page->outbox_sent, from, memory_order_release);
    }
    rewind_counters(to);
    return 0;
}

static void wait_writable(void)
{
    struct pollfd p = {.fd = box.fd, .events = POLLOUT};
    poll(&p, 1, -1);
}

static void send_all(void)
{
    while (send_waiting() == -EAGAIN)
        wait_writable();
}

static void set_timer(uint64_t delay_ns)
{
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(delay_ns / NS_PER_S),
                                           .tv_nsec = (long)(delay_ns % NS_PER_S)}};
    timer_settime(box.timer, 0, &when, NULL);
    box.timer_due = clock_mono_ns() + delay_ns;
}

static void on_timer(int signal)
{
    (void)signal;
    int saved = errno;
    if (atomic_exchange_explicit(&box.busy, true, memory_order_acquire)) {
        struct itimerspec again = {.it_value = {.tv_nsec = RETRY_NS}};
        timer_settime(box.timer, 0, &again, NULL);
    } else {
        box.timer_due = 0;
        if (send_waiting() == -EAGAIN)
            set_timer(RETRY_NS);
        unlock();
    }
    errno = saved;
}

/* With the lock held. */
static void arm(uint64_t max_ns)
{
    uint64_t due = clock_mono_ns() + max_ns;
    if (box.has_timer && (box.timer_due == 0 || due < box.timer_due))
        set_timer(max_ns);
}

static void forget_in_child(void)
{
    box.foreign = true;
    if (box.fd >= 0)
        close(box.fd);
}

void outbox_start(int fd, struct shared_page *page)
{
    box.fd = fd;
    box.page = page;
    int signal = SIGRTMIN + 4;
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    sigaction(signal, &action, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal};
    event.sigev_notify_thread_id = gettid();
    box.has_timer = timer_create(CLOCK_MONOTONIC, &event, &box.timer) == 0;
    if (!box.has_timer)
        log_warn("no timer (%s): answers may wait for later turns", strerror(errno));
    pthread_atfork(NULL, NULL, forget_in_child);
}

/* Sends one frame past the outbox, with its descriptors; what waited went before it. */
static void send_direct(struct iovec *iov, size_t parts, const int *fds, size_t fd_count)
{
    char control[CMSG_SPACE(sizeof(int) * 2)] = {0};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = parts};
    msg.msg_control = control;
    msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fd_count);
    while (msg.msg_iovlen > 0) {
        ssize_t n = sendmsg(box.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            wait_writable();
        else if (n < 0 && errno != EINTR)
            _exit(EXIT_CODE_ENVIRONMENT);
        if (n <= 0)
            continue;
        count_sent((uint64_t)n);
        msg.msg_control = NULL;
        msg.msg_controllen = 0;
        while (msg.msg_iovlen > 0 && (size_t)n >= msg.msg_iov->iov_len) {
            n -= (ssize_t)msg.msg_iov->iov_len;
            msg.msg_iov++;
            msg.msg_iovlen--;
        }
        if (msg.msg_iovlen > 0) {
            msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + n;
            msg.msg_iov->iov_len -= (size_t)n;
        }
    }
}

static int put_direct(struct rpc_header *header, struct span payload, int fd)
{
    int fds[2];
    size_t fd_count = 0;
    bool is_spilled = payload.len > RPC_INLINE_MAX;
    if (is_spilled) {
        int memfd = memfd_of("rpc-payload", payload.data, payload.len);
        if (memfd < 0)
            return memfd;
        header->flags |= RPC_FLAG_SPILLED;
        fds[fd_count++] = memfd;
    }
    if (fd >= 0)
        fds[fd_count++] = fd;
    struct iovec iov[] = {{header, sizeof(*header)}, {(void *)payload.data, payload.len}};
    lock();
    send_all();
    send_direct(iov, is_spilled || payload.len == 0 ? 1 : 2, fds, fd_count);
    unlock();
    if (is_spilled)
        close(fds[0]);
    return 0;
}

static void put_waiting(const struct rpc_header *header, struct span payload)
{
    size_t need = sizeof(*header) + payload.len;
    lock();
    if (SHARED_OUTBOX_SIZE - written() < need)
        send_all();
    uint32_t at = written();
    memcpy(box.page->outbox + at, header, sizeof(*header));
    if (payload.len > 0)
        memcpy(box.page->outbox + at + sizeof(*header), payload.data, payload.len);
    atomic_store_explicit(&box.page->outbox_written, at + (uint32_t)need, memory_order_release);
    if (header->type == RPC_LOG)
        arm(LOG_DELAY_NS);
    unlock();
}

int outbox_put(enum rpc_type type, uint64_t id, struct span payload, int fd)
{
    struct rpc_header header = {
        .length = (uint32_t)payload.len, .type = (uint16_t)type, .fds = fd >= 0, .id = id};
    int err = 0;
    if (box.foreign)
        err = -ECHILD;
    else if (payload.len > UINT32_MAX)
        err = -EMSGSIZE;
    else if (fd >= 0 || payload.len > RPC_INLINE_MAX)
        err = put_direct(&header, payload, fd);
    else
        put_waiting(&header, payload);
    if (fd >= 0)
        close(fd);
    return err;
}

void outbox_flush(void)
{
    if (box.foreign || outbox_unsent() == 0)
        return;
    lock();
    send_all();
    unlock();
}

size_t outbox_unsent(void)
{
    return written() - sent();
}

void outbox_bound_delay(uint64_t max_ns)
{
    if (box.foreign || outbox_unsent() == 0)
        return;
    lock();
    arm(max_ns);
    unlock();
}

bool outbox_is_foreign(void)
{
    return box.foreign;
}
