// SPDX-License-Identifier: Apache-2.0
#include "common/seeded_hash.h"

#include <stdint.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t seed_of_process(void)
{
    static uint64_t seed;
    while (seed == 0)
        if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
            seed = (uintptr_t)&seed; /* better than a constant */
    return seed;
}

unsigned seeded_hash(const void *key, size_t len)
{
    return (unsigned)XXH3_64bits_withSeed(key, len, seed_of_process());
}
