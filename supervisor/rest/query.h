// SPDX-License-Identifier: Apache-2.0
/*
 * query - the parameters of a request target, one after the other, decoded; and the numbers
 * that they hold. Pure.
 */
#ifndef SUPERVISOR_REST_QUERY_H
#define SUPERVISOR_REST_QUERY_H

#include "common/codec.h"

struct query {
    struct span rest; /* not yet read */
    struct buf name;  /* decoded, NUL-terminated by buf_str; of the current parameter */
    struct buf value;
};

struct query query_of(struct span raw);
/* Moves to the next parameter. False at the end (or without memory). */
bool query_next(struct query *q);
void query_free(struct query *q);

/* The value of one parameter, decoded, into out: 1; 0 when it is absent, -EEXIST when given twice.
 */
int query_once(struct span raw, const char *name, struct buf *out);

/* A decimal number within [min, max]; false for anything else. */
bool query_number(const char *text, uint64_t min, uint64_t max, uint64_t *value);
/*
 * The same of a parameter that may be absent; *value stays then. NULL, or what is wrong with it, in
 * `problem`.
 */
enum { QUERY_PROBLEM_SIZE = 160 };
const char *query_number_once(struct span raw, const char *name, uint64_t min, uint64_t max,
                              uint64_t *value, char problem[QUERY_PROBLEM_SIZE]);

#endif
