// SPDX-License-Identifier: Apache-2.0
/*
 * source - the text of an object file, shared by reference count, with its hash.
 */
#ifndef SUPERVISOR_OBJECTS_SOURCE_H
#define SUPERVISOR_OBJECTS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source_hash {
    uint64_t high, low; /* XXH3, 128 bits */
};

struct source {
    unsigned references;
    struct source_hash hash;
    size_t len;
    char text[];
};

/*
 * Reads a regular file of at most `max` bytes below the folder dir (no symbolic link leads out of
 * it). One reference. NULL and *err = -errno (-EFBIG above max).
 */
struct source *source_read(const char *dir, const char *file, size_t max, int *err);
struct source *source_ref(struct source *s);
void source_unref(struct source *s); /* NULL is allowed */
bool source_hash_equal(struct source_hash a, struct source_hash b);

#endif
