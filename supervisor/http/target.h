// SPDX-License-Identifier: Apache-2.0
/*
 * target - the request target: what its path may hold, and decoding it.
 *
 * A path must mean one thing to everybody: no escaped NUL, slash or backslash, no backslash, no dot
 * segment (escaped or not), no malformed escape. Pure; borrowed memory only.
 */
#ifndef SUPERVISOR_HTTP_TARGET_H
#define SUPERVISOR_HTTP_TARGET_H

#include "common/codec.h"

/* Splits at the first '?'; query is empty and NULL without one. */
void target_split(struct span target, struct span *path, struct span *query);
bool target_path_is_clean(struct span path);
/*
 * Undoes percent-escapes; '+' becomes a space only where plus_is_space. What is no escape is kept
 * as it stands. Writes at most text.len bytes to out and returns how many.
 */
size_t target_decode(struct span text, bool plus_is_space, char *out);
/* The first parameter of that (decoded) name, decoded and appended to out; false when absent. */
bool target_query(struct span query, const char *name, struct buf *out);

#endif
