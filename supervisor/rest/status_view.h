// SPDX-License-Identifier: Apache-2.0
/*
 * status_view - ?status=true: does the object run now, and when will it run by itself.
 */
#ifndef SUPERVISOR_REST_STATUS_VIEW_H
#define SUPERVISOR_REST_STATUS_VIEW_H

#include "supervisor/http/exchange.h"
#include "supervisor/objects/object.h"

void view_object_status(struct object *o, struct exchange *x);

#endif
