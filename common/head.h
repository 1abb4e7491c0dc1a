// SPDX-License-Identifier: Apache-2.0
/*
 * head - the raw header fields of a request, "Name: value\r\n" each, and the structured values in
 * them. Everything is borrowed from the text; malformed lines are skipped (the front has refused
 * them).
 */
#ifndef COMMON_HEAD_H
#define COMMON_HEAD_H

#include "common/codec.h"

/* Cuts the next field off *rest; the value is trimmed. False at the end. */
bool head_next(struct span *rest, struct span *name, struct span *value);
/* The first field of that name, case-insensitive; false when there is none. */
bool head_find(struct span head, const char *name, struct span *value);
bool head_name_is(struct span name, const char *wanted);

/* Does this media type (without parameters) mean JSON? */
bool head_is_json(struct span type);
/* The part before the first ';', trimmed: "application/json". */
struct span head_media_type(struct span value);
/*
 * Cuts the next "; name=value" parameter off *rest (which begins behind the media type); a quoted
 * value comes without its quotes, escapes still in it. False at the end.
 */
bool head_next_parameter(struct span *rest, struct span *name, struct span *value);
/* Removes the backslashes of a quoted value into out (room for text.len). Returns the length. */
size_t head_unquote(struct span text, char *out);
/* Cuts the next name=value off a Cookie field; quotes around the value are dropped. */
bool head_next_cookie(struct span *rest, struct span *name, struct span *value);

#endif
