// SPDX-License-Identifier: Apache-2.0
/*
 * restart_view - POST ?restart=true: new workers for an object, by hand.
 */
#ifndef SUPERVISOR_REST_RESTART_VIEW_H
#define SUPERVISOR_REST_RESTART_VIEW_H

#include "supervisor/http/exchange.h"
#include "supervisor/objects/object.h"

/*
 * The same version in a new worker, which takes over between two turns; one that failed before is
 * tried at once, one that sleeps is started. 200, or 422 when the object does not load (what serves
 * goes on).
 */
void view_restart(struct object *o, struct exchange *x);

#endif
