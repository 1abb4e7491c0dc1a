// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/worker_output.h"

#include "common/clock.h"
#include "supervisor/log/object_log.h"
#include "supervisor/objects/object.h"
#include "supervisor/process/worker.h"
#include "supervisor/station.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    OUTPUT_CHUNK = 4 * 1024,        /* whoever prints takes the loop's time in small pieces */
    OUTPUT_AHEAD_MAX = 1024 * 1024, /* the largest pipe of an ordinary user */
    WINDOWS_PER_S = 100,
};
#define WINDOW_NS (NS_PER_S / WINDOWS_PER_S)

static enum object_log_stream stream_of(const struct worker *w, int i)
{
    return (enum object_log_stream)(w->is_test ? OBJECT_LOG_TEST_STDOUT + i : i);
}

static void close_stream(struct worker *w, int i)
{
    if (w->output_fd[i] < 0)
        return;
    loop_unwatch(w->output_source[i]);
    w->output_source[i] = NULL;
    close(w->output_fd[i]);
    w->output_fd[i] = -1;
    object_log_output_end(w->object->log, stream_of(w, i));
}

/* --- how much in a second: one that prints more waits in its write --- */

static void watch_streams(struct worker *w, uint32_t events)
{
    for (int i = 0; i < 2; i++)
        if (w->output_source[i])
            loop_rewatch(w->output_source[i], events);
}

static void on_window(void *arg)
{
    struct worker *w = arg;
    w->output_bytes = 0;
    watch_streams(w, EPOLLIN);
}

/* The window begins with the first byte after a pause. */
static void count_bytes(struct worker *w, size_t bytes)
{
    if (w->output_bytes == 0)
        loop_timer_set(w->station->loop, &w->output_window, WINDOW_NS, on_window, w);
    w->output_bytes += bytes;
    uint64_t second = throttle_output_max(w);
    if (w->output_bytes < second / WINDOWS_PER_S)
        return;
    uint64_t wait_ns = w->output_bytes * NS_PER_S / second;
    throttle_waits(w, wait_ns);
    watch_streams(w, 0);
    loop_timer_set(w->station->loop, &w->output_window, wait_ns, on_window, w);
}

/* One read: how many bytes; 0 when there is nothing now, or ever. */
static size_t read_chunk(struct worker *w, int i)
{
    char chunk[OUTPUT_CHUNK];
    if (w->output_fd[i] < 0)
        return 0;
    ssize_t n = read(w->output_fd[i], chunk, sizeof(chunk));
    if (n > 0) {
        if (i == 1)
            output_tail_add(&w->stderr_tail, chunk, (size_t)n);
        uint64_t *dropped = &object_logs_stats(w->station->logs)->dropped, before = *dropped;
        object_log_output(w->object->log, stream_of(w, i), chunk, (size_t)n);
        throttle_dropped(w, *dropped - before);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_stream(w, i);
    return n > 0 ? (size_t)n : 0;
}

static void read_in_turn(struct worker *w, int i)
{
    size_t bytes = read_chunk(w, i);
    if (bytes)
        count_bytes(w, bytes);
}

static void on_stdout(void *arg, uint32_t events)
{
    (void)events;
    read_in_turn(arg, 0);
}

static void on_stderr(void *arg, uint32_t events)
{
    (void)events;
    read_in_turn(arg, 1);
}

int worker_output_watch(struct worker *w)
{
    static const loop_fd_fn handlers[2] = {on_stdout, on_stderr};
    for (int i = 0; i < 2; i++) {
        w->output_source[i] =
            loop_watch(w->station->loop, w->output_fd[i], EPOLLIN, handlers[i], w);
        if (!w->output_source[i])
            return -errno;
    }
    return 0;
}

/* Not what is printed meanwhile: whoever goes on would hold the loop. */
static void read_printed(struct worker *w, int i)
{
    int printed;
    if (w->output_fd[i] < 0 || ioctl(w->output_fd[i], FIONREAD, &printed) < 0)
        return;
    if (printed > OUTPUT_AHEAD_MAX)
        printed = OUTPUT_AHEAD_MAX;
    while (printed > 0) {
        size_t bytes = read_chunk(w, i);
        if (bytes == 0)
            return;
        printed -= (int)bytes;
    }
}

void worker_read_output(struct worker *w)
{
    read_printed(w, 0);
    read_printed(w, 1);
}

void worker_output_close(struct worker *w)
{
    loop_timer_cancel(&w->output_window);
    close_stream(w, 0);
    close_stream(w, 1);
}
