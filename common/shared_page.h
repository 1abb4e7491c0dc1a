// SPDX-License-Identifier: Apache-2.0
/*
 * shared_page - what a worker shows the supervisor without a message: which call runs since when,
 * how far a replica has come with the object's writes, and its outbox, the frames it has written
 * and not yet sent.
 *
 * The worker encodes every frame for the supervisor here and sends from here. When it dies between
 * two sends, the supervisor finishes the outbox: answers of turns that had ended and the last log
 * lines are not lost, and exactly the running call gets a 502. The worker writes, the supervisor
 * only reads; it copies the numbers once and checks them, for a worker may write anything here.
 *
 * What is unsent is found from outbox_base and the bytes that really arrived: outbox_sent may be
 * behind when the worker is killed inside send().
 *
 * Frames with descriptors, or spilled ones, never wait here: they are sent at once, after what
 * waits.
 */
#ifndef COMMON_SHARED_PAGE_H
#define COMMON_SHARED_PAGE_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { SHARED_OUTBOX_SIZE = 256 * 1024 };

struct shared_page {
    _Atomic uint64_t running_id;     /* call or stream being executed; 0 none */
    _Atomic uint64_t started_ns;     /* monotonic, when running_id was set */
    _Atomic uint32_t outbox_sent;    /* bytes of the outbox that the socket has taken */
    _Atomic uint32_t outbox_written; /* bytes of whole frames; sent <= written <= size */
    _Atomic uint64_t outbox_base;    /* bytes that the socket took before outbox[0] */
    _Atomic uint64_t applied_id;     /* of the UPDATE that was applied last */
    _Atomic uint64_t begun_id;       /* of the CALL begun last; later ones wait */
    uint32_t reserved[4];
    char outbox[SHARED_OUTBOX_SIZE];
};
static_assert(offsetof(struct shared_page, outbox) == 64, "the page is frozen");

#endif
