// SPDX-License-Identifier: Apache-2.0
/*
 * reload_view - POST /reload: reads the configuration again and answers with how it went.
 */
#ifndef SUPERVISOR_REST_RELOAD_VIEW_H
#define SUPERVISOR_REST_RELOAD_VIEW_H

#include "supervisor/http/exchange.h"

struct station;

/* 200 with what changed; 422 when the configuration in force stayed. */
void view_reload(struct station *station, struct exchange *x);

#endif
