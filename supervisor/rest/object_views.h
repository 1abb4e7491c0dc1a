// SPDX-License-Identifier: Apache-2.0
/*
 * object_views - what the station itself answers about an object: ?source, ?metadata, ?state,
 * ?logs.
 */
#ifndef SUPERVISOR_REST_OBJECT_VIEWS_H
#define SUPERVISOR_REST_OBJECT_VIEWS_H

#include "supervisor/http/exchange.h"

#include <stdbool.h>

struct object;

/* Does the query hold a reserved parameter with a value that is reserved? */
bool object_views_reserved(const struct exchange *x);
/* Answers the exchange when it does; false: it is a call of the object. */
bool object_views_serve(struct object *o, struct exchange *x);

#endif
