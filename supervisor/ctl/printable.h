// SPDX-License-Identifier: Apache-2.0
/*
 * printable - text from a station as a terminal may have it.
 *
 * Objects and their clients wrote it, so control characters, and those that turn the direction of
 * writing, are shown as escapes (\n, \t, \r, \xNN, \uNNNN), and what is not UTF-8 as \xNN. Widths
 * are columns of a terminal, by wcwidth(3) in the locale of the process.
 */
#ifndef SUPERVISOR_CTL_PRINTABLE_H
#define SUPERVISOR_CTL_PRINTABLE_H

#include "common/buf.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/* Appends the text in printable form; returns its width. */
size_t printable_append(struct buf *out, const char *text, size_t len);
/* How many bytes of printable text fit into so many columns; their width in *used. */
size_t printable_fit(const char *text, size_t columns, size_t *used);
/* Writes the text in printable form. */
void printable_put(FILE *out, const char *text, size_t len);
/* The same, where newlines stay newlines, each followed by so many blanks. */
void printable_put_lines(FILE *out, const char *text, size_t len, int indent);
/* A JSON value on one line: strings bare, null as nothing, the rest as JSON. */
void printable_put_value(FILE *out, const json_t *value);

#endif
