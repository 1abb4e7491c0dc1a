// SPDX-License-Identifier: Apache-2.0
/*
 * output_tail - the last bytes that were written to a stream, and how many there were.
 *
 * Takes as much memory as was written, OUTPUT_TAIL_MAX at most; where there is none, bytes are
 * forgotten. Zeroed: empty.
 */
#ifndef SUPERVISOR_PROCESS_OUTPUT_TAIL_H
#define SUPERVISOR_PROCESS_OUTPUT_TAIL_H

#include "common/codec.h"

enum { OUTPUT_TAIL_MAX = 64 * 1024 };

struct output_tail {
    char *ring;
    size_t cap, len, start; /* the oldest byte is ring[start] */
    uint64_t total;
};

void output_tail_add(struct output_tail *t, const char *bytes, size_t len);
/* All of it, in order; borrowed until the next call. */
struct span output_tail_text(struct output_tail *t);
void output_tail_free(struct output_tail *t);

#endif
