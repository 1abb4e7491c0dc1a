// SPDX-License-Identifier: Apache-2.0
#include "supervisor/state/arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum { CHUNK_FIRST = 512, CHUNK_LAST = 1024 * 1024, ALIGN = alignof(max_align_t) };

struct arena_chunk {
    alignas(max_align_t) struct arena_chunk *older;
};

static char *new_chunk(struct arena *arena, size_t payload)
{
    struct arena_chunk *chunk = malloc(sizeof(*chunk) + payload);
    if (!chunk)
        return NULL;
    chunk->older = arena->chunks;
    arena->chunks = chunk;
    arena->total += sizeof(*chunk) + payload;
    return (char *)(chunk + 1);
}

void *arena_take(struct arena *arena, size_t size)
{
    size_t rounded = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (rounded < size)
        return NULL;
    if (rounded > arena->room) {
        size_t next = arena->chunk_size ? arena->chunk_size : CHUNK_FIRST;
        if (rounded > next / 2) /* a chunk of its own: the room that is left stays in use */
            return new_chunk(arena, rounded);
        char *start = new_chunk(arena, next);
        if (!start)
            return NULL;
        arena->at = start;
        arena->room = next;
        arena->chunk_size = next < CHUNK_LAST ? next * 2 : next;
    }
    char *piece = arena->at;
    arena->at += rounded;
    arena->room -= rounded;
    return piece;
}

void arena_free(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->older;
        free(chunk);
    }
    *arena = (struct arena){0};
}
