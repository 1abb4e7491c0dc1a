// SPDX-License-Identifier: Apache-2.0
/*
 * tsv - fields of the tab-separated files (\\ \t \n \r \0 stand for backslash, tab,
 * newline, carriage return and NUL; nothing else is escaped).
 */
#ifndef COMMON_TSV_H
#define COMMON_TSV_H

#include "common/buf.h"
#include "common/codec.h"

/* Appends one field, escaped. */
void tsv_put(struct buf *out, const char *bytes, size_t len);
/*
 * Splits a line (without its newline) at tabs into at most `max` still escaped fields, all borrowed
 * from the line. Returns the number of fields in the line, which may exceed max; the fields beyond
 * it are not stored.
 */
size_t tsv_split(struct span line, struct span *fields, size_t max);
/*
 * Undoes the escapes of one field, appending to out. Unknown escapes and a lone trailing backslash
 * are kept as they stand (files of other writers).
 */
void tsv_unescape(struct buf *out, struct span field);
/* The same where it stands; returns the new length, which is never larger. */
size_t tsv_unescape_in_place(char *bytes, size_t len);

#endif
