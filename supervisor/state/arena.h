// SPDX-License-Identifier: Apache-2.0
/*
 * arena - memory that is given out piece by piece and freed all at once.
 *
 * Chunks start small (most objects have few keys) and double. One thread.
 */
#ifndef SUPERVISOR_STATE_ARENA_H
#define SUPERVISOR_STATE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    char *at;                   /* free space of the newest chunk */
    size_t room;
    size_t chunk_size; /* of the next chunk */
    size_t total;      /* bytes of all chunks */
};

/* size bytes, aligned for anything; NULL when memory is short. An arena of zeros is empty. */
void *arena_take(struct arena *arena, size_t size);
void arena_free(struct arena *arena);

#endif
