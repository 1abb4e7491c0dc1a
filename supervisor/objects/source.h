// SPDX-License-Identifier: Apache-2.0
/*
 * source - the text of an object file, shared by reference count, with its hash.
 */
#ifndef SUPERVISOR_OBJECTS_SOURCE_H
#define SUPERVISOR_OBJECTS_SOURCE_H

#include "common/sha256.h"

enum { SOURCE_SIZE_MAX = 64 * 1024 * 1024 /* bytes; limits.source_max cannot be larger */ };

struct source {
    unsigned references;
    struct sha256 hash;
    size_t len;
    char text[];
};

/*
 * Reads a regular file of at most `max` bytes below the folder dir (no symbolic link leads out of
 * it). One reference. NULL and *err = -errno (-EFBIG above max).
 */
struct source *source_read(const char *dir, const char *file, size_t max, int *err);
/* The same of a text in memory. NULL when memory is short. */
struct source *source_of(const char *text, size_t len);
struct source *source_ref(struct source *s);
void source_unref(struct source *s); /* NULL is allowed */

#endif
