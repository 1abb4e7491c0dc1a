// SPDX-License-Identifier: Apache-2.0
/*
 * json_compact - JSON without what it does not need, and the text of its strings.
 *
 * The texts handed in are valid (json_scan.h) and in UTF-8 (utf8.h). Numbers stay as they are
 * written. Memory that is short fails the buf. Pure.
 */
#ifndef COMMON_JSON_COMPACT_H
#define COMMON_JSON_COMPACT_H

#include "common/codec.h"

struct json_form {
    unsigned depth; /* containers in one another; 0: a scalar */
    bool compact;   /* no space between tokens, no escapes */
};
struct json_form json_form_of(struct span value);

/*
 * Appends the value without space between tokens, its strings escaped no more than JSON demands.
 * False: a lone surrogate, which is no character; out then holds a part.
 */
bool json_compact(struct span value, struct buf *out);

/* Appends the text of a string, given with its quotes. False: a lone surrogate. */
bool json_string_text(struct span quoted, struct buf *out);

#endif
