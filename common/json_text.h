// SPDX-License-Identifier: Apache-2.0
/*
 * json_text - JSON written straight into a buf, for answers too hot or too large for a tree.
 *
 * json_put_string() escapes what RFC 8259 demands and replaces bytes that are not UTF-8 by U+FFFD,
 * so the output is always valid JSON text.
 */
#ifndef COMMON_JSON_TEXT_H
#define COMMON_JSON_TEXT_H

#include "common/buf.h"

/* "text" with quotes and escapes. */
void json_put_string(struct buf *out, const char *text, size_t len);
/* "key": with quotes, preceded by a comma unless the last byte opens an object. */
void json_put_key(struct buf *out, const char *key);
void json_put_member(struct buf *out, const char *key, const char *text);
void json_put_number(struct buf *out, const char *key, unsigned long long value);

#endif
