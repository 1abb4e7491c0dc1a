// SPDX-License-Identifier: Apache-2.0
/* links: supervisor/http/guard.c supervisor/http/guard_head.c supervisor/http/guard_body.c
 * supervisor/http/target.c common/buf.c */
/*
 * The guard against arbitrary bytes from a client. The first byte seeds where the stream is cut;
 * whole, in pieces, and byte by byte it must hand on the same bytes and come to the same verdict.
 */
#include "tests/unit/guard_driver.h"

#include <stdlib.h>

static const struct guard_limits limits = {
    .head_max = 2000, .fields_max = 20, .target_max = 300, .body_max = 1000};

static struct guard_run run_in_pieces(const uint8_t *data, size_t size, unsigned seed)
{
    struct guard_run run;
    guard_run_begin(&run, &limits);
    while (size > 0) {
        size_t piece = seed ? 1 + seed % 37 : size;
        if (piece > size)
            piece = size;
        guard_run_receive(&run, (const char *)data, piece);
        data += piece;
        size -= piece;
        seed = seed ? (seed * 1103515245u + 12345u) | 1u : 0;
    }
    guard_run_verdict(&run);
    return run;
}

static void compare(const struct guard_run *a, const struct guard_run *b)
{
    if (a->guard.state != b->guard.state || a->guard.violation != b->guard.violation ||
        a->complete != b->complete || a->transcript.len != b->transcript.len ||
        memcmp(a->transcript.data, b->transcript.data, a->transcript.len) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned seed = (unsigned)data[0] * 2654435761u | 1u;
    struct guard_run whole = run_in_pieces(data + 1, size - 1, 0);
    struct guard_run pieces = run_in_pieces(data + 1, size - 1, seed);
    compare(&whole, &pieces);
    guard_run_end(&pieces);
    struct guard_run bytes;
    guard_run_begin(&bytes, &limits);
    for (size_t i = 1; i < size; i++)
        guard_run_receive(&bytes, (const char *)data + i, 1);
    guard_run_verdict(&bytes);
    compare(&whole, &bytes);
    guard_run_end(&bytes);
    guard_run_end(&whole);
    return 0;
}
