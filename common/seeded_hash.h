// SPDX-License-Identifier: Apache-2.0
/*
 * seeded_hash - uthash as this program uses it; include this instead of <uthash.h>.
 *
 * Keys come from clients, so the hash is seeded at random for each process: nobody can choose keys
 * that collide. HASH_ADD… does not die of a lack of memory: afterwards hh.tbl of the element is
 * NULL when it was not added. Any process.
 */
#ifndef COMMON_SEEDED_HASH_H
#define COMMON_SEEDED_HASH_H

#include <stddef.h>

unsigned seeded_hash(const void *key, size_t len);

#define HASH_FUNCTION(key, len, hash) ((hash) = seeded_hash(key, len))
#define HASH_NONFATAL_OOM             1
#include <uthash.h>

#endif
