// SPDX-License-Identifier: Apache-2.0
#include "common/sha256.h"

#include <sodium.h>

_Static_assert(SHA256_SIZE == crypto_hash_sha256_BYTES, "the size of a SHA-256");

struct sha256 sha256_of(const void *bytes, size_t len)
{
    struct sha256 hash;
    crypto_hash_sha256(hash.bytes, bytes, len);
    return hash;
}

bool sha256_equal(struct sha256 a, struct sha256 b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

void sha256_text(struct sha256 hash, char text[SHA256_TEXT_SIZE])
{
    sodium_bin2hex(text, SHA256_TEXT_SIZE, hash.bytes, sizeof(hash.bytes));
}

bool sha256_parse(struct span text, struct sha256 *hash)
{
    size_t len;
    return text.len == SHA256_TEXT_SIZE - 1 &&
           sodium_hex2bin(hash->bytes, sizeof(hash->bytes), text.data, text.len, NULL, &len,
                          NULL) == 0 &&
           len == sizeof(hash->bytes);
}
