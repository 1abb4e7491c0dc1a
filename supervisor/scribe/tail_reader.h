// SPDX-License-Identifier: Apache-2.0
/*
 * tail_reader - the lines of a file from its end to its beginning.
 *
 * Holds one block, or the longest line. What is appended while it reads is not seen. Any
 * process.
 */
#ifndef SUPERVISOR_SCRIBE_TAIL_READER_H
#define SUPERVISOR_SCRIBE_TAIL_READER_H

#include "common/codec.h"

#include <sys/types.h>

enum { TAIL_READER_LINE_MAX = 64 * 1024 * 1024 /* bytes */ };

struct tail_reader {
    int fd; /* borrowed */
    char *block;
    size_t cap;
    size_t len;  /* bytes of the block not yet given */
    off_t start; /* of the block in the file */
    off_t floor; /* nothing before this is given */
};

/* The lines of [from, size of the file). 0 or -errno; tail_reader_close() in any case. */
int tail_reader_open(struct tail_reader *t, int fd, off_t from);
/*
 * 1: the line before the one last given, without its newline (a last line without one is given
 * too); borrowed until the next call, and the caller may write in it. 0: no more. -EFBIG: a line is
 * too long; another -errno.
 */
int tail_reader_next(struct tail_reader *t, char **line, size_t *len);
void tail_reader_close(struct tail_reader *t);

#endif
