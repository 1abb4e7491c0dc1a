// SPDX-License-Identifier: Apache-2.0
/*
 * renew - the same version of an object in new workers: after the nursery was replaced, or because
 * somebody asks for it. The new worker loads beside the old one and takes over between two turns;
 * no call is dropped. One that does not load changes nothing.
 */
#ifndef SUPERVISOR_OBJECTS_RENEW_H
#define SUPERVISOR_OBJECTS_RENEW_H

#include "supervisor/objects/object.h"

/*
 * Begins it. fn(arg), where there is one, is called once when it is over, however that went, or at
 * once when there is nothing to replace: an object without a worker starts with a new one anyway,
 * and one in BACKOFF is started again when something waits for it. A file that stands in the
 * history as rejected gets another chance. 0 or -ENOMEM (nothing was begun).
 */
int renew_object(struct object *o, void (*fn)(void *arg), void *arg);
/* Its newest worker will be replaced, or is about to be. */
bool renew_is_under_way(const struct object *o);
/* From lifecycle, after each step. */
void renew_settle(struct object *o);
/* Wants what serves to be loaded again; as soon as no order is under way. */
void renew_soon(struct object *o);

#endif
