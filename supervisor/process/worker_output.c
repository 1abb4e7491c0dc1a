// SPDX-License-Identifier: Apache-2.0
#include "supervisor/process/worker_output.h"

#include "supervisor/log/object_log.h"
#include "supervisor/objects/object.h"
#include "supervisor/process/worker.h"
#include "supervisor/station.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    OUTPUT_CHUNK = 64 * 1024,
    OUTPUT_CHUNKS_AT_ONCE = 64, /* so that one printing worker cannot hold the loop */
};

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

/* One read; false when there is nothing more now, or ever. */
static bool read_chunk(struct worker *w, int i)
{
    char chunk[OUTPUT_CHUNK];
    if (w->output_fd[i] < 0)
        return false;
    ssize_t n = read(w->output_fd[i], chunk, sizeof(chunk));
    if (n > 0)
        object_log_output(w->object->log, stream_of(w, i), chunk, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_stream(w, i);
    return n > 0;
}

static void on_stdout(void *arg, uint32_t events)
{
    (void)events;
    read_chunk(arg, 0);
}

static void on_stderr(void *arg, uint32_t events)
{
    (void)events;
    read_chunk(arg, 1);
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

void worker_read_output(struct worker *w)
{
    for (int i = 0; i < 2; i++)
        for (int n = 0; n < OUTPUT_CHUNKS_AT_ONCE && read_chunk(w, i); n++)
            ;
}

void worker_output_close(struct worker *w)
{
    close_stream(w, 0);
    close_stream(w, 1);
}
