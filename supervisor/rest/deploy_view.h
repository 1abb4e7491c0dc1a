// SPDX-License-Identifier: Apache-2.0
/*
 * deploy_view - what changes an object's source over HTTP: PUT ?source=true, which updates or
 * creates an object, and the action rollback. Answered once the version serves.
 *
 * The rollback is recognised here and not in the worker, for an object that does not load has none:
 * a POST whose JSON body holds "action": "rollback" and no other keys than version_id, author and
 * message.
 */
#ifndef SUPERVISOR_REST_DEPLOY_VIEW_H
#define SUPERVISOR_REST_DEPLOY_VIEW_H

#include "supervisor/http/exchange.h"

struct object;
struct station;

void view_deploy(struct object *o, struct exchange *x);
/* PUT ?source=true on an id that no object has. False: it is no such request. */
bool deploy_view_create(struct station *station, const char *id, struct exchange *x);
/* Answers the exchange when it is that action. */
bool deploy_view_rollback(struct object *o, struct exchange *x);

#endif
