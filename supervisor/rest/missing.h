// SPDX-License-Identifier: Apache-2.0
/*
 * missing - the 404 for what does not exist: where the file of an object was looked for, and which
 * objects may have been meant.
 */
#ifndef SUPERVISOR_REST_MISSING_H
#define SUPERVISOR_REST_MISSING_H

#include "supervisor/http/exchange.h"

struct station;

/* Answers x. `rest` is what followed the id in the path, "/counter"; it may be empty. */
void missing_object(struct station *station, struct exchange *x, const char *id, struct span rest);
/* Answers x, whose path is no route: "/hello" may have meant /objects/hello. */
void missing_route(struct station *station, struct exchange *x);

#endif
