// SPDX-License-Identifier: Apache-2.0
/*
 * router - which part of the station answers a request: a table of station routes, and objects.
 */
#ifndef SUPERVISOR_REST_ROUTER_H
#define SUPERVISOR_REST_ROUTER_H

#include "supervisor/http/exchange.h"

/* The front's handler; arg is the struct station. */
void router_handle(struct exchange *x, void *arg);

/*
 * The front's receiver: a POST with a form begins. Files in it are stored by the station, unless
 * the object handles uploads itself.
 */
void router_receive(struct exchange *x, void *arg);

#endif
