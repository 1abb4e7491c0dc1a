// SPDX-License-Identifier: Apache-2.0
/*
 * management - may this exchange use a management route (security.management)?
 */
#ifndef SUPERVISOR_REST_MANAGEMENT_H
#define SUPERVISOR_REST_MANAGEMENT_H

#include "supervisor/http/exchange.h"

struct station;

/* When it may not, the exchange is answered (401 or 403) and false is returned. */
bool management_allowed(struct station *station, struct exchange *x);

#endif
