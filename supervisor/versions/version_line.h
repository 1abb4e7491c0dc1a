// SPDX-License-Identifier: Apache-2.0
/*
 * version_line - one line of data/versions/<object>/metadata.tsv, and the header that names its
 * columns. Pure.
 *
 * A file of the earlier Python system has no status and no reason column: its lines are accepted
 * versions. What is appended to such a file has the two columns behind those that its header names;
 * columns that are not known are kept and ignored.
 */
#ifndef SUPERVISOR_VERSIONS_VERSION_LINE_H
#define SUPERVISOR_VERSIONS_VERSION_LINE_H

#include "common/sha256.h"

#define VERSION_FILE   "metadata.tsv"
#define VERSION_HEADER "version_id\ttimestamp\tauthor\tmessage\thash\tstatus\treason"

enum version_field {
    VERSION_ID,
    VERSION_TIMESTAMP,
    VERSION_AUTHOR,
    VERSION_MESSAGE,
    VERSION_HASH,
    VERSION_STATUS,
    VERSION_REASON,
    VERSION_FIELDS,
};
enum { VERSION_COLUMNS_MAX = 32 };

/* Which field stands in which column. */
struct version_columns {
    size_t count;
    int field[VERSION_COLUMNS_MAX]; /* enum version_field; -1: not known */
    bool has_status;                /* the header names it */
};

/* True when the line is a header. Else *c is that of VERSION_HEADER. */
bool version_columns_parse(struct version_columns *c, struct span line);

struct version_line {
    uint64_t id;
    struct span field[VERSION_FIELDS]; /* still escaped, borrowed from the line */
    struct sha256 hash;
    bool has_hash; /* the hash is a SHA-256 */
    bool is_accepted;
};

/* False when it is no line of a version: too few columns, an id that is no number above 0. */
bool version_line_parse(const struct version_columns *c, struct span line, struct version_line *v);

/* What a version is made of, besides its content. */
struct version_facts {
    uint64_t id;
    uint64_t wall_us;
    struct span author, message;
    struct sha256 hash;
    bool is_rejected;
    struct span reason;
};
/* Appends the line, with its newline, in the order of the columns. */
void version_line_put(struct buf *out, const struct version_columns *c,
                      const struct version_facts *facts);

#endif
