// SPDX-License-Identifier: Apache-2.0
/*
 * table - rows and columns for people on a terminal, and the same as tab separated lines for
 * programs.
 *
 * Cells are printed in the form of printable.h. A table copies the cells it is given.
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
/* What this column shows is cut last, when cutting the others is not enough. */
void table_keep(struct table *table, size_t column);
/*
 * One row a line behind so many blanks; the last column is not padded. Where a row would be wider
 * than `width` columns of a terminal (0: any width), its widest cells are cut and end in an
 * ellipsis.
 */
void table_print(const struct table *table, FILE *out, int indent, size_t width);
/* One row a line, cells separated by tabs. */
void table_print_tsv(const struct table *table, FILE *out);
/* On stdout: for people when that is a terminal, else for programs. */
void table_show(const struct table *table);
/* The columns of the terminal behind stdout, 0: it is none. */
size_t table_terminal_width(void);
void table_free(struct table *table);

/* A JSON value in one line: strings bare, null as nothing, the rest as JSON. The caller frees it.
 */
char *table_cell(const json_t *value);

#endif
