// SPDX-License-Identifier: Apache-2.0
/*
 * tail_reader - the lines of a file from its end to its beginning.
 *
 * Holds one block, or the longest line; one of more than TAIL_READER_LINE_MAX bytes is left out.
 * What is appended while it reads is not seen. Any process.
 */
#ifndef SUPERVISOR_SCRIBE_TAIL_READER_H
#define SUPERVISOR_SCRIBE_TAIL_READER_H

#include "common/codec.h"

#include <sys/types.h>

enum { TAIL_READER_LINE_MAX = 16 * 1024 * 1024 /* bytes */ };

struct tail_reader {
    int fd; /* borrowed */
    char *block;
    size_t cap;
    size_t len;       /* bytes of the block not yet given */
    off_t start;      /* of the block in the file */
    off_t floor;      /* nothing before this is given */
    bool is_skipping; /* within a line that is too long */
};

/* The lines of [from, to), which lies in the file. tail_reader_close() when done. */
void tail_reader_open(struct tail_reader *t, int fd, off_t from, off_t to);
/*
 * 1: the line before the one last given, without its newline (a last line without one is given
 * too); borrowed until the next call, and the caller may write in it. 0: no more. -errno.
 */
int tail_reader_next(struct tail_reader *t, char **line, size_t *len);
void tail_reader_close(struct tail_reader *t);

#endif
