// SPDX-License-Identifier: Apache-2.0
/*
 * station_views - the routes of the station itself: /, /health, /ready, /status,
 * /metrics.
 */
#ifndef SUPERVISOR_REST_STATION_VIEWS_H
#define SUPERVISOR_REST_STATION_VIEWS_H

#include "supervisor/http/exchange.h"

struct station;

void view_root(struct station *station, struct exchange *x);
void view_health(struct station *station, struct exchange *x);
void view_ready(struct station *station, struct exchange *x);
void view_status(struct station *station, struct exchange *x);
void view_metrics(struct station *station, struct exchange *x);

#endif
