// SPDX-License-Identifier: Apache-2.0
/*
 * measure - how much memory some processes take, one a slice: a large one takes milliseconds. In
 * the scribe.
 */
#ifndef SUPERVISOR_SCRIBE_MEASURE_H
#define SUPERVISOR_SCRIBE_MEASURE_H

#include "supervisor/scribe/scribe_rpc.h"

struct measure;

/* Copies what it needs. NULL when memory is short. */
struct measure *measure_new(const struct scribe_rpc_measure *ask);
/* The next of them. 1: there are more. 0: done. */
int measure_step(struct measure *measure);
/* Of those that are done; borrowed. */
const struct scribe_rpc_measured *measure_found(const struct measure *measure);
void measure_free(struct measure *measure);

#endif
