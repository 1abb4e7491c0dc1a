// SPDX-License-Identifier: Apache-2.0
/*
 * objects_view - GET /objects: the objects by id, in pages.
 */
#ifndef SUPERVISOR_REST_OBJECTS_VIEW_H
#define SUPERVISOR_REST_OBJECTS_VIEW_H

#include "supervisor/http/exchange.h"

struct station;

enum { OBJECTS_PAGE_MAX = 100000 /* ?limit= at most */ };

void view_objects(struct station *station, struct exchange *x);

#endif
