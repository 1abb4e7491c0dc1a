// SPDX-License-Identifier: Apache-2.0
/*
 * log_line - one line of an object's log, by the columns that its file's header names.
 *
 * Ours: `timestamp level message request_id version fields`, `fields` a JSON object. The earlier
 * Python system has a column per field. Pure.
 */
#ifndef SUPERVISOR_LOG_LOG_LINE_H
#define SUPERVISOR_LOG_LOG_LINE_H

#include "common/codec.h"

#define LOG_LINE_HEADER "timestamp\tlevel\tmessage\trequest_id\tversion\tfields"

enum { LOG_LINE_COLUMNS_MAX = 64 /* further ones are ignored */ };

struct log_columns {
    char *names; /* what `name` points to; owned */
    struct span name[LOG_LINE_COLUMNS_MAX];
    size_t count;
    bool is_ours;
};

/*
 * 1: the line is a header, *c describes it. 0: it is none (no columns timestamp and message), *c
 * describes ours, for the line is then the first entry. -ENOMEM. log_columns_free() in any case.
 */
int log_columns_parse(struct log_columns *c, struct span line);
void log_columns_free(struct log_columns *c);

struct log_line {
    const struct log_columns *columns;
    struct span field[LOG_LINE_COLUMNS_MAX]; /* unescaped, of the header's; missing ones empty */
    size_t count; /* columns that the line has, may exceed the header's */
};

/* Splits a line in place: it is overwritten, and the fields point into it. */
void log_line_parse(struct log_line *l, const struct log_columns *columns, char *line, size_t len);
/* The column of that name, empty when there is none. */
struct span log_line_column(const struct log_line *l, const char *name);
/* Is a column, or a member of `fields`, equal to that text? Numbers and words as JSON has them. */
bool log_line_matches(const struct log_line *l, struct span name, struct span value);
/*
 * Appends the line as a JSON object: every column that is not empty, and the members of `fields`
 * beside them; those that have the name of such a column stand in a member "fields".
 */
void log_line_json(struct buf *out, const struct log_line *l);

#endif
