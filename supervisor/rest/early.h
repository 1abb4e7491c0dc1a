// SPDX-License-Identifier: Apache-2.0
/*
 * early - requests that came before it is known which objects there are: they wait for the end of
 * the first scan, or they would be told that there is no such object. Loop thread only.
 */
#ifndef SUPERVISOR_REST_EARLY_H
#define SUPERVISOR_REST_EARLY_H

#include "supervisor/http/exchange.h"

/* Keeps the exchange until early_release(); without memory it is answered. */
void early_hold(struct exchange *x);
/* Hands each of them to fn, in the order in which they came. */
void early_release(void (*fn)(struct exchange *x, void *arg), void *arg);

#endif
