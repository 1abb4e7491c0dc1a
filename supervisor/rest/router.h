// SPDX-License-Identifier: Apache-2.0
/*
 * router - which part of the station answers a request: a table of station routes, and objects.
 */
#ifndef SUPERVISOR_REST_ROUTER_H
#define SUPERVISOR_REST_ROUTER_H

#include "supervisor/http/exchange.h"

/* The front's handler; arg is the struct station. */
void router_handle(struct exchange *x, void *arg);

#endif
