// SPDX-License-Identifier: Apache-2.0
/*
 * guard_head - the lines of a request head, for guard.c alone.
 *
 * A line is given without its CRLF as a slice of g->bytes. Each function returns GUARD_FINE or why
 * the request is refused.
 */
#ifndef SUPERVISOR_HTTP_GUARD_HEAD_H
#define SUPERVISOR_HTTP_GUARD_HEAD_H

#include "supervisor/http/guard.h"

enum guard_violation guard_head_request_line(struct guard *g, struct guard_slice line);
enum guard_violation guard_head_field(struct guard *g, struct guard_slice line);
/* All fields are here: do they fit together? */
enum guard_violation guard_head_finish(struct guard *g);

bool guard_is_token_char(unsigned char c);
/* Allowed in a field value: visible, space, tab, and bytes beyond ASCII. */
bool guard_is_value_char(unsigned char c);

#endif
