// SPDX-License-Identifier: Apache-2.0
/*
 * utf8 - well-formedness by the table of RFC 3629 (no overlong forms, no surrogates, <= U+10FFFF).
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length (1..4) of the well-formed sequence at text, 0 when there is none. */
size_t utf8_sequence(const char *text, size_t len);
bool utf8_valid(const char *text, size_t len);
/* Of the first `max` bytes of a text of `len`, those that do not end within a character. */
size_t utf8_cut(const char *text, size_t len, size_t max);
/* Writes a character (no surrogate, <= U+10FFFF); how many bytes it takes. */
size_t utf8_put(char to[4], uint32_t character);

#endif
