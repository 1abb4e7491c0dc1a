// SPDX-License-Identifier: Apache-2.0
/*
 * log_view - GET ?logs=true: the query, checked, and handed to the scribe; with follow=true to
 * log_follow.
 */
#ifndef SUPERVISOR_REST_LOG_VIEW_H
#define SUPERVISOR_REST_LOG_VIEW_H

#include "supervisor/http/exchange.h"

struct object;

void view_logs(struct object *o, struct exchange *x);

#endif
