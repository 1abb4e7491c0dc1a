// SPDX-License-Identifier: Apache-2.0
/*
 * document_error - the answer when the scribe has no document for a view (scribe.h says why).
 */
#ifndef SUPERVISOR_REST_DOCUMENT_ERROR_H
#define SUPERVISOR_REST_DOCUMENT_ERROR_H

struct exchange;
struct object;

/* 503 that names the limit, if it was one; err < 0. what: "the state of", "the log of". */
void document_error(struct exchange *x, const struct object *o, const char *what, int err);

#endif
