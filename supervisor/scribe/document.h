// SPDX-License-Identifier: Apache-2.0
/*
 * document - a long text written piece by piece into a memfd, for the supervisor to send on.
 */
#ifndef SUPERVISOR_SCRIBE_DOCUMENT_H
#define SUPERVISOR_SCRIBE_DOCUMENT_H

#include "common/codec.h"

struct document {
    struct buf text; /* append to it, then document_flow() now and then */
    int fd;
    int err; /* the first failure; sticky */
    uint64_t size;
};

void document_begin(struct document *d, const char *name);
/* Moves what has gathered into the memfd once it is worth a write. */
void document_flow(struct document *d);
/* Seals: the memfd, now the caller's, and its size; or the first -errno. */
int document_end(struct document *d, uint64_t *size);
/* Gives it up. */
void document_drop(struct document *d);

#endif
