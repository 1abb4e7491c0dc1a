// SPDX-License-Identifier: Apache-2.0
/*
 * urlencoded - the pairs of a query string or a form, application/x-www-form-urlencoded.
 *
 * Names and values are borrowed from the text, still encoded; empty pairs ("&&") are skipped.
 * Decoding is lenient as browsers are: a '%' without two hex digits stands for itself. What comes
 * out may hold any byte, NUL included.
 */
#ifndef COMMON_URLENCODED_H
#define COMMON_URLENCODED_H

#include "common/codec.h"

struct urlencoded {
    struct span rest;
};

/* False at the end. */
bool urlencoded_next(struct urlencoded *u, struct span *name, struct span *value);
/* Decodes into out, which has room for text.len bytes; '+' becomes a blank when plus_is_blank. */
size_t urlencoded_decode(struct span text, bool plus_is_blank, char *out);
/* Does the text need decoding at all? */
bool urlencoded_is_plain(struct span text, bool plus_is_blank);

#endif
