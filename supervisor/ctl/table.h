// SPDX-License-Identifier: Apache-2.0
/*
 * table - text for people: columns that line up, and nothing that could steer a terminal.
 *
 * What comes from a station was written by objects and their clients, so control characters are
 * shown as escapes. A table copies the cells it is given.
 */
#ifndef SUPERVISOR_CTL_TABLE_H
#define SUPERVISOR_CTL_TABLE_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 12 };

struct table;

/* heads: the names of the columns, at most TABLE_COLUMNS_MAX. Ends the program without memory. */
struct table *table_new(const char *const *heads, size_t columns);
/* A row of as many cells as there are columns; NULL is an empty cell. */
void table_add(struct table *table, const char *const *cells);
/* Prints, one row a line behind so many blanks; the last column is not padded. */
void table_print(const struct table *table, FILE *out, int indent);
void table_free(struct table *table);

/* Writes text with control characters as \n, \t, \xNN; what is not UTF-8 as \xNN. */
void table_put_text(FILE *out, const char *text, size_t len);
/* A JSON value in one line: strings bare, the rest as JSON. The caller frees it. */
char *table_cell(const json_t *value);

#endif
