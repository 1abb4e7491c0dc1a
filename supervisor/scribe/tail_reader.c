// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe/tail_reader.h"

#include "common/fd_io.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK_SIZE = 256 * 1024 };

void tail_reader_open(struct tail_reader *t, int fd, off_t from, off_t to)
{
    *t = (struct tail_reader){.fd = fd, .floor = from, .start = to > from ? to : from};
}

static int read_at(int fd, char *to, size_t len, off_t offset)
{
    ssize_t n = fd_io_read_at(fd, to, len, offset);
    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : -EIO; /* it shrank under us */
}

/* Puts the bytes before the block in front of what is left of it. */
static int load_before(struct tail_reader *t)
{
    size_t want = t->len > BLOCK_SIZE ? t->len : BLOCK_SIZE; /* doubles for a long line */
    if ((off_t)want > t->start - t->floor)
        want = (size_t)(t->start - t->floor);
    if (t->len + want > t->cap) {
        char *grown = realloc(t->block, t->len + want);
        if (!grown)
            return -ENOMEM;
        t->block = grown;
        t->cap = t->len + want;
    }
    memmove(t->block + want, t->block, t->len);
    t->len += want;
    t->start -= (off_t)want;
    return read_at(t->fd, t->block, want, t->start);
}

/* Forgets what the block holds of a line that is too long. */
static void skip(struct tail_reader *t)
{
    char *newline = t->len > 0 ? memrchr(t->block, '\n', t->len) : NULL;
    t->is_skipping = !newline;
    t->len = newline ? (size_t)(newline - t->block) + 1 : 0;
}

int tail_reader_next(struct tail_reader *t, char **line, size_t *len)
{
    for (;;) {
        if (t->is_skipping)
            skip(t);
        /* the newline that ends the line itself is the last byte */
        size_t body = t->len > 0 && t->block[t->len - 1] == '\n' ? t->len - 1 : t->len;
        char *newline = body > 0 ? memrchr(t->block, '\n', body) : NULL;
        if (newline || (t->start == t->floor && t->len > 0)) {
            size_t from = newline ? (size_t)(newline - t->block) + 1 : 0;
            *line = t->block + from;
            *len = body - from;
            t->len = from;
            return 1;
        }
        if (t->start == t->floor)
            return 0;
        if (t->len > TAIL_READER_LINE_MAX) {
            t->len = 0;
            t->is_skipping = true;
        }
        int err = load_before(t);
        if (err)
            return err;
    }
}

void tail_reader_close(struct tail_reader *t)
{
    free(t->block);
    t->block = NULL;
}
