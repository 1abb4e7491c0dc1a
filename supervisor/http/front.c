// SPDX-License-Identifier: Apache-2.0
#include "supervisor/http/front.h"

#include "common/clock.h"
#include "common/json_text.h"
#include "common/log.h"
#include "supervisor/http/exchange_private.h"
#include "supervisor/http/front_private.h"
#include "supervisor/http/request.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* Its read buffer is half of it, and it is cleared for every request: no larger than needed. */
    POOL_SIZE = 16 * 1024,
    RUNS_PER_ROUND = 16,
};

static void on_log(void *arg, const char *format, va_list ap)
{
    (void)arg;
    char line[512];
    if (log_threshold() > LOG_LEVEL_DEBUG)
        return;
    vsnprintf(line, sizeof(line), format, ap);
    line[strcspn(line, "\n")] = '\0';
    log_debug("http: %s", line);
}

/* --- running libmicrohttpd from the loop --- */

static bool has_more_to_do(struct front *front)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    return front->run_wanted ||
           (MHD_get_timeout(front->daemon, &timeout) == MHD_YES && timeout == 0);
}

static void run(void *arg)
{
    struct front *front = arg;
    for (int i = 0; i < RUNS_PER_ROUND; i++) {
        front->run_wanted = false;
        MHD_run(front->daemon);
        if (!has_more_to_do(front)) {
            loop_timer_cancel(&front->again);
            return;
        }
    }
    loop_timer_set(front->loop, &front->again, 0, run, front);
}

void front_wants_run(struct front *front)
{
    if (!front->daemon)
        return;
    front->run_wanted = true;
    if (!loop_timer_armed(&front->again)) /* for replies of hooks that come after ours */
        loop_timer_set(front->loop, &front->again, 0, run, front);
}

static void on_ready(void *arg, uint32_t events)
{
    (void)events;
    run(arg);
}

static void on_round_end(void *arg)
{
    struct front *front = arg;
    if (front->run_wanted)
        run(front);
}

static void on_tick(void *arg)
{
    struct front *front = arg;
    run(front);
    loop_timer_set(front->loop, &front->tick, NS_PER_S, on_tick, front);
}

/* --- birth and death --- */

static int start_daemon(struct front *front, char *error, size_t error_size)
{
    uint64_t idle_s = front->config->keepalive_timeout_ns / NS_PER_S;
    front->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
        NULL, NULL, request_handle, front, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, request_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        request_connection, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_SIZE,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)GUARDED_FD_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(idle_s ? idle_s : 1), MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (!front->daemon) {
        snprintf(error, error_size, "libmicrohttpd does not start: %s", strerror(errno));
        return -ENODEV;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(front->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    epoll_keep_set(info->epoll_fd);
    front->source = loop_watch(front->loop, info->epoll_fd, EPOLLIN, on_ready, front);
    if (front->source)
        return 0;
    snprintf(error, error_size, "cannot watch libmicrohttpd: %s", strerror(errno));
    return -errno;
}

/* A request that libmicrohttpd alone would accept has to be refused by the guard. */
static bool guard_is_in_the_path(struct front *front)
{
    static const char bad[] = "GET / HTTP/1.1\nHost: localhost\n\n";
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return false;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    bool ok = write(pair[1], bad, sizeof(bad) - 1) == sizeof(bad) - 1;
    connection_accept(front, pair[0], (struct sockaddr *)&address, sizeof(address));
    for (int i = 0; ok && i < RUNS_PER_ROUND && front->connections > 0; i++)
        MHD_run(front->daemon);
    ok = ok && front->guards.rejected[GUARD_BAD_bare_lf] == 1;
    close(pair[1]);
    lingers_free(&front->guards.lingers);
    front->guards.rejected[GUARD_BAD_bare_lf] = 0;
    front->accepted = 0;
    return ok;
}

/* --- addresses and names --- */

/* Names that Host may hold: those of listeners that go, too, for their connections live on. */
static struct access *make_access(const struct front *front, const struct config *config,
                                  char *error, size_t error_size)
{
    struct access *access = access_new(config, error, error_size);
    bool ok = access != NULL;
    const struct listener *l;
    for (size_t i = 0; ok && (l = listeners_at(&front->listeners, i)); i++)
        ok = l->is_unix || access_add_address(access, l->address);
    if (ok && (!front->access || access_add_addresses_of(access, front->access)))
        return access;
    if (access)
        snprintf(error, error_size, "no memory for the names of the station");
    access_free(access);
    return NULL;
}

int front_prepare(struct front *front, const struct config *config, char *error, size_t error_size)
{
    int err = listeners_prepare(&front->listeners, config, error, error_size);
    if (err)
        return err;
    front->next_access = make_access(front, config, error, error_size);
    if (front->next_access)
        return 0;
    listeners_abandon(&front->listeners);
    return -EACCES;
}

void front_abandon(struct front *front)
{
    listeners_abandon(&front->listeners);
    access_free(front->next_access);
    front->next_access = NULL;
}

static void commit_addresses(struct front *front)
{
    listeners_commit(&front->listeners);
    access_free(front->access);
    front->access = front->next_access;
    front->next_access = NULL;
}

static struct guard_limits limits_of(const struct config *c)
{
    return (struct guard_limits){c->head_max, c->fields_max, c->target_max, c->body_max,
                                 c->upload_max};
}

static int start(struct front *front, char *error, size_t error_size)
{
    int err = start_daemon(front, error, error_size);
    if (!err && !guard_is_in_the_path(front)) {
        snprintf(error, error_size,
                 "refusing to listen: the guard does not see what libmicrohttpd reads "
                 "(recv is not interposed)");
        err = -EPROTO;
    }
    if (!err)
        err = front_prepare(front, front->config, error, error_size);
    if (!err)
        commit_addresses(front);
    return err;
}

struct front *front_new(struct loop *loop, const struct config *config,
                        void (*handler)(struct exchange *x, void *arg), void *arg, char *error,
                        size_t error_size)
{
    struct front *front = calloc(1, sizeof(*front));
    if (!front) {
        snprintf(error, error_size, "no memory for the HTTP front");
        return NULL;
    }
    front->loop = loop;
    front->config = config;
    front->handler = handler;
    front->arg = arg;
    front->id_base = clock_wall_us();
    signal(SIGPIPE, SIG_IGN); /* sendfile() cannot be told per call */
    front->listeners = (struct listeners){.front = front, .loop = loop};
    struct guard_limits limits = limits_of(config);
    guard_set_init(&front->guards, loop, &limits, config->head_timeout_ns);
    body_clock_init(&front->body_clock, loop, config->body_timeout_ns, config->keepalive_timeout_ns,
                    config->body_rate_min);
    if (start(front, error, error_size) < 0) {
        front_free(front);
        return NULL;
    }
    loop_set_hook(loop, LOOP_RANK_HTTP, on_round_end, front);
    loop_timer_set(loop, &front->tick, NS_PER_S, on_tick, front);
    return front;
}

void front_commit(struct front *front)
{
    const struct config *c = front->config;
    struct guard_limits limits = limits_of(c);
    commit_addresses(front);
    guard_set_configure(&front->guards, &limits, c->head_timeout_ns);
    body_clock_configure(&front->body_clock, c->body_timeout_ns, c->keepalive_timeout_ns,
                         c->body_rate_min);
}

void front_set_receiver(struct front *front, void (*receiver)(struct exchange *x, void *arg))
{
    front->receiver = receiver;
}

void front_stop_accepting(struct front *front)
{
    front->is_leaving = true;
    lingers_are_last(&front->guards.lingers);
    listeners_close(&front->listeners);
}

size_t front_open_exchanges(const struct front *front)
{
    return front->open;
}

const char *front_listener_name(const struct front *front, size_t i)
{
    const struct listener *l = listeners_at(&front->listeners, i);
    return l ? l->name : NULL;
}

bool front_is_sending(const struct front *front)
{
    const struct exchange *x = front->exchanges;
    while (x && !(x->mhd_holds && x->status && !x->suspended))
        x = x->next;
    return x != NULL;
}

/* Replies under way get their time; the loop does not run any more. */
static void drain(struct front *front, uint64_t grace_ns)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(front->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uint64_t deadline = clock_mono_ns() + grace_ns;
    for (;;) {
        run(front);
        uint64_t now = clock_mono_ns();
        if (!front_is_sending(front) || now >= deadline)
            return;
        struct pollfd ready = {.fd = info->epoll_fd, .events = POLLIN};
        int ms = (int)((deadline - now) / NS_PER_MS);
        poll(&ready, 1, ms < 50 ? ms : 50);
    }
}

/* libmicrohttpd aborts the process when it is stopped with suspended connections. */
static void close_connections(struct front *front)
{
    front->stopping = true;
    for (struct exchange *x = front->exchanges; x; x = x->next) {
        if (x->suspended)
            MHD_resume_connection(x->mhd);
        x->suspended = false;
    }
    run(front);
    MHD_stop_daemon(front->daemon);
    epoll_keep_set(-1);
    front->daemon = NULL;
}

void front_close(struct front *front, uint64_t grace_ns)
{
    listeners_close(&front->listeners);
    if (front->daemon) {
        drain(front, grace_ns);
        close_connections(front);
    }
    loop_set_hook(front->loop, LOOP_RANK_HTTP, NULL, NULL);
    loop_unwatch(front->source);
    front->source = NULL;
    loop_timer_cancel(&front->tick);
    loop_timer_cancel(&front->again);
}

void front_free(struct front *front)
{
    if (!front)
        return;
    front_close(front, 0);
    while (front->exchanges) {
        front->exchanges->handler_holds = false;
        exchange_release(front->exchanges);
    }
    body_clock_free(&front->body_clock);
    guard_set_free(&front->guards);
    exchange_free_list(front);
    access_free(front->access);
    access_free(front->next_access);
    free(front);
}

const struct access *front_access(const struct front *front)
{
    return front->access;
}
