// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/log_count.h"

#include "common/clock.h"
#include "supervisor/log/log_files.h"
#include "supervisor/log/log_line.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK_SIZE = 256 * 1024 };

/* Of one file. */
struct counter {
    int fd; /* -1: none */
    off_t at, end;
    uint64_t lines;
    bool in_line; /* the block before ended inside one */
};

struct log_count {
    const char *data_dir; /* borrowed */
    char *object_id;
    struct log_position upto;
    struct log_files files;
    bool is_started;
    struct counter counter;
    uint64_t lines;
};

static uint64_t newlines(const char *bytes, size_t len)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += bytes[i] == '\n';
    return n;
}

static bool is_header(const char *bytes, size_t len)
{
    struct log_columns columns;
    const char *newline = memchr(bytes, '\n', len);
    size_t n = newline ? (size_t)(newline - bytes) : len;
    int got = log_columns_parse(&columns, (struct span){bytes, n});
    log_columns_free(&columns);
    return got == 1;
}

/* 1: a block more. 0: all of it is counted. */
static int count_block(struct counter *c)
{
    static char block[BLOCK_SIZE];
    size_t want = sizeof(block);
    if ((off_t)want > c->end - c->at)
        want = (size_t)(c->end - c->at);
    ssize_t n = want ? pread(c->fd, block, want, c->at) : 0;
    if (n < 0)
        return errno == EINTR ? 1 : -errno;
    if (n == 0) { /* a last line without an end is one too */
        c->lines += c->in_line;
        return 0;
    }
    if (c->at == 0 && is_header(block, (size_t)n))
        c->lines--; /* made up for by its newline */
    c->lines += newlines(block, (size_t)n);
    c->in_line = block[n - 1] != '\n';
    c->at += n;
    return 1;
}

int64_t log_count_file(int fd, off_t end)
{
    struct counter c = {.fd = fd, .end = end};
    int got;
    while ((got = count_block(&c)) == 1)
        ;
    return got < 0 ? got : (int64_t)c.lines;
}

struct log_count *log_count_new(const char *data_dir, const struct scribe_rpc_log_count *ask)
{
    struct log_count *count = calloc(1, sizeof(*count));
    char *object_id = span_dup(ask->object_id);
    if (!count || !object_id) {
        free(count);
        free(object_id);
        return NULL;
    }
    *count = (struct log_count){.data_dir = data_dir,
                                .object_id = object_id,
                                .upto = {ask->upto.is_set, ask->upto.inode, ask->upto.size},
                                .files.folder = -1,
                                .counter.fd = -1};
    return count;
}

static int next_file(struct log_count *count)
{
    struct counter *c = &count->counter;
    if (!count->is_started) {
        int err = log_files_open(&count->files, count->data_dir, count->object_id, &count->upto);
        if (err)
            return err;
    }
    count->is_started = true;
    *c = (struct counter){.fd = -1};
    return log_files_next(&count->files, &c->fd, &c->end);
}

static void close_file(struct log_count *count)
{
    if (count->counter.fd >= 0)
        close(count->counter.fd);
    count->counter.fd = -1;
}

int log_count_step(struct log_count *count, uint64_t until_ns)
{
    int got = 1;
    while (got == 1 && clock_mono_ns() < until_ns) {
        if (count->counter.fd < 0) {
            got = next_file(count);
            continue;
        }
        int more = count_block(&count->counter);
        if (more == 0)
            count->lines += count->counter.lines;
        if (more != 1)
            close_file(count);
        if (more < 0)
            got = more;
    }
    return got;
}

uint64_t log_count_lines(const struct log_count *count)
{
    return count->lines;
}

void log_count_free(struct log_count *count)
{
    if (!count)
        return;
    close_file(count);
    log_files_close(&count->files);
    free(count->object_id);
    free(count);
}
