// SPDX-License-Identifier: Apache-2.0
/*
 * json_scan - is a text JSON (RFC 8259), and where are the members of an object? Without a tree.
 *
 * For JSON that is passed on as it stands, whatever the size of its numbers. The text has to be
 * checked for UTF-8 apart (utf8.h). Pure.
 */
#ifndef COMMON_JSON_SCAN_H
#define COMMON_JSON_SCAN_H

#include "common/codec.h"

enum { JSON_SCAN_DEPTH_MAX = 1024 /* nested deeper is refused */ };

/* One value of any kind, white space around it allowed. */
bool json_scan_valid(struct span text);

/* Walks the members of a text that is a valid object; of anything else there are none. */
struct json_scan {
    const char *at;
    const char *end;
};
struct json_scan json_scan_object(struct span text);
/* The next member: its name with quotes and escapes, its value, both borrowed. False: no more. */
bool json_scan_member(struct json_scan *scan, struct span *name, struct span *value);

#endif
