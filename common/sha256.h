// SPDX-License-Identifier: Apache-2.0
/*
 * sha256 - the hash by which versions of a source are told apart, and its text in lower-case
 * hexadecimal. Any process; pure.
 */
#ifndef COMMON_SHA256_H
#define COMMON_SHA256_H

#include "common/codec.h"

enum { SHA256_SIZE = 32, SHA256_TEXT_SIZE = 2 * SHA256_SIZE + 1 };

struct sha256 {
    uint8_t bytes[SHA256_SIZE];
};

struct sha256 sha256_of(const void *bytes, size_t len);
bool sha256_equal(struct sha256 a, struct sha256 b);
/* 64 digits and a NUL. */
void sha256_text(struct sha256 hash, char text[SHA256_TEXT_SIZE]);
/* False unless the text is exactly 64 hexadecimal digits. */
bool sha256_parse(struct span text, struct sha256 *hash);

#endif
